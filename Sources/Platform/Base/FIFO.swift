/// A first-in, first-out queue over an array. Appending and popping take amortized constant time.
public struct FIFO<Element> {
    private var elements: [Element?] = []
    private var head = 0

    public init() {}

    public var count: Int { elements.count - head }
    public var isEmpty: Bool { head == elements.count }

    /// The element at the front; `nil` if the queue is empty.
    public var first: Element? { head < elements.count ? elements[head] : nil }

    public mutating func append(_ element: Element) {
        elements.append(element)
    }

    /// Removes and returns the element at the front; `nil` if the queue is empty.
    public mutating func popFirst() -> Element? {
        guard head < elements.count else { return nil }
        let element = elements[head]
        elements[head] = nil
        head += 1
        if head >= 64, head * 2 >= elements.count {
            elements.removeFirst(head)
            head = 0
        }
        return element
    }

    /// Inserts `elements` at the front, in their order.
    public mutating func prepend(_ elements: [Element]) {
        guard !elements.isEmpty else { return }
        self.elements.replaceSubrange(..<head, with: elements)
        head = 0
    }

    /// Removes the elements that do not satisfy `condition`.
    public mutating func keep(where condition: (Element) -> Bool) {
        elements = elements[head...].filter { $0.map(condition) ?? false }
        head = 0
    }

    /// Removes and returns the first element that satisfies `condition`, at any position; `nil` if there is none.
    public mutating func remove(where condition: (Element) -> Bool) -> Element? {
        for index in head..<elements.count {
            guard let element = elements[index], condition(element) else { continue }
            elements.remove(at: index)
            return element
        }
        return nil
    }

    /// Removes and returns all elements, in order.
    public mutating func removeAll() -> [Element] {
        defer {
            elements = []
            head = 0
        }
        return elements[head...].compactMap { $0 }
    }
}

extension FIFO: Sendable where Element: Sendable {}
