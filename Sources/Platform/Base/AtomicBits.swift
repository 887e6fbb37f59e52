public import Synchronization

/// A fixed number of bits, read and written by any number of threads without a lock.
public final class AtomicBits: @unchecked Sendable {
    // Safe to share: `words` is allocated once, every word is an atomic, and the memory lives as long as this object.
    @usableFromInline
    let words: UnsafeMutablePointer<Atomic<UInt64>>
    /// How many bits there are.
    public let count: Int
    /// How many words hold them.
    public let wordCount: Int

    /// `count` bits, taken from `initial` and clear behind it; what lies beyond `count` is dropped.
    public init(count: Int, initial: [UInt64] = []) {
        self.count = count
        wordCount = Self.wordCount(for: count)
        words = .allocate(capacity: max(1, wordCount))
        for index in 0..<wordCount {
            var word = index < initial.count ? initial[index] : 0
            if index == wordCount - 1, count % 64 != 0 { word &= (1 << UInt64(count % 64)) - 1 }
            (words + index).initialize(to: Atomic(word))
        }
    }

    deinit {
        words.deinitialize(count: wordCount)
        words.deallocate()
    }

    /// How many words hold `count` bits.
    public static func wordCount(for count: Int) -> Int { count / 64 + (count % 64 == 0 ? 0 : 1) }

    /// Whether the bit is set; what the thread that set it did before is then visible. `false` out of range.
    @inlinable
    public func contains(_ index: Int) -> Bool {
        guard index >= 0, index < count else { return false }
        return words[index >> 6].load(ordering: .acquiring) & (1 << UInt64(index & 63)) != 0
    }

    /// Sets the bit: whether it was clear before.
    public func set(_ index: Int) -> Bool {
        let mask: UInt64 = 1 << UInt64(index & 63)
        return words[index >> 6].bitwiseOr(mask, ordering: .sequentiallyConsistent).oldValue & mask == 0
    }

    /// Clears the bit: whether it was set before.
    public func clear(_ index: Int) -> Bool {
        let mask: UInt64 = 1 << UInt64(index & 63)
        return words[index >> 6].bitwiseAnd(~mask, ordering: .sequentiallyConsistent).oldValue & mask != 0
    }

    /// Sixty-four bits at once.
    @inlinable
    public func word(_ index: Int) -> UInt64 { words[index].load(ordering: .sequentiallyConsistent) }

    /// All words, each as it was at some moment of this call.
    public func snapshot() -> [UInt64] { (0..<wordCount).map { word($0) } }

    /// The first index in `range` whose bit is `value`. Looks at 64 bits a step.
    public func first(in range: Range<Int>, where value: Bool) -> Int? {
        let range = range.clamped(to: 0..<count)
        guard !range.isEmpty else { return nil }
        let flip: UInt64 = value ? 0 : ~0
        var index = range.lowerBound >> 6
        var word = (words[index].load(ordering: .acquiring) ^ flip) & (~0 << UInt64(range.lowerBound & 63))
        while true {
            if word != 0 {
                let found = index << 6 + word.trailingZeroBitCount
                return found < range.upperBound ? found : nil
            }
            index += 1
            guard index << 6 < range.upperBound else { return nil }
            word = words[index].load(ordering: .acquiring) ^ flip
        }
    }
}
