public import Base

/// A cache of at most `capacity` values. When a full cache receives a value for a new key, it first evicts the
/// `capacity / 2 + 1` least recently used values.
public struct BoundedCache<Key: Hashable, Value> {
    fileprivate struct Entry {
        var value: Value
        var lastUse: UInt64
    }

    public let capacity: Int
    private var entries: [Key: Entry] = [:]
    private var uses: UInt64 = 0

    /// Creates an empty cache for `capacity` values, at least one.
    public init(capacity: Int) {
        self.capacity = Swift.max(1, capacity)
    }

    public var count: Int { entries.count }

    /// Returns the value of `key`; `nil` if there is none. The access does not count as a use.
    public func peek(_ key: Key) -> Value? { entries[key]?.value }

    /// The value of `key`; `nil` if there is none. Every read or write counts as a use of the value. Writing `nil`
    /// removes the value.
    public subscript(key: Key) -> Value? {
        mutating get {
            guard let index = entries.index(forKey: key) else { return nil }
            uses += 1
            entries.values[index].lastUse = uses
            return entries.values[index].value
        }
        set {
            guard let newValue else {
                entries[key] = nil
                return
            }
            if entries[key] == nil, entries.count >= capacity { evict() }
            uses += 1
            entries[key] = Entry(value: newValue, lastUse: uses)
        }
    }

    /// Removes every value for which `condition` does not hold.
    public mutating func keep(where condition: (Key, Value) -> Bool) {
        entries = entries.filter { condition($0.key, $0.value.value) }
    }

    private mutating func evict() {
        let uses = entries.values.map(\.lastUse).sorted()
        let median = uses[uses.count / 2]
        entries = entries.filter { $0.value.lastUse > median }
    }
}

extension BoundedCache: Sendable where Key: Sendable, Value: Sendable {}
extension BoundedCache.Entry: Sendable where Value: Sendable {}

/// A value that is valid until a given time.
public struct Expiring<Value> {
    public var value: Value
    public var end: MonotonicTime

    public init(_ value: Value, until end: MonotonicTime) {
        self.value = value
        self.end = end
    }
}

extension Expiring: Sendable where Value: Sendable {}

extension BoundedCache {
    /// Returns the value of `key` if the value is still valid at `now`. Otherwise removes the value and returns `nil`.
    public mutating func value<Wrapped>(of key: Key, at now: MonotonicTime) -> Wrapped?
    where Value == Expiring<Wrapped> {
        guard let entry = self[key] else { return nil }
        guard now < entry.end else {
            self[key] = nil
            return nil
        }
        return entry.value
    }
}
