public import Base

/// A counter of the steps of a loop. It asks for the deadline once in a while, because reading a clock takes longer
/// than most steps.
public struct WorkMeter: Sendable {
    /// The number of steps between two looks at the deadline. They take a few milliseconds at most.
    static let interval = 4096

    private let deadline: WorkDeadline
    private var left = interval

    public init(_ deadline: WorkDeadline) {
        self.deadline = deadline
    }

    /// Counts steps. A step is about as much work as one entry of a layer, or 256 bytes.
    ///
    /// - Throws: ``LayerIndexErrorCode/deadline`` if the deadline is over.
    @inline(__always)
    public mutating func count(_ steps: Int = 1) throws(LayerIndexError) {
        left &-= steps
        if left <= 0 { try check() }
    }

    /// Throws ``LayerIndexErrorCode/deadline`` if the deadline is over.
    @inline(never)
    public mutating func check() throws(LayerIndexError) {
        left = Self.interval
        guard !deadline.isOver else { throw LayerIndexError(.deadline, "building takes too long") }
    }

    /// Sorts `elements`. `isBefore` may count its steps in the meter.
    static func sort<Element>(
        _ elements: inout [Element], by isBefore: (Element, Element) throws(LayerIndexError) -> Bool
    ) throws(LayerIndexError) {
        do {
            try elements.sort { (left, right) throws -> Bool in try isBefore(left, right) }
        } catch {
            // `sort` forgets the type of the error.
            throw error as? LayerIndexError ?? LayerIndexError(.corrupt, "sorting failed: \(error)")
        }
    }
}
