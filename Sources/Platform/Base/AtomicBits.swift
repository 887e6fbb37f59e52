public import Synchronization

/// A fixed number of bits that any number of threads read and write without a lock.
public final class AtomicBits: @unchecked Sendable {
    // Safe to share: `words` is allocated once, every word is an atomic, and the memory lives as long as this object.
    @usableFromInline
    let words: UnsafeMutablePointer<Atomic<UInt64>>
    /// The number of bits.
    public let count: Int
    /// The number of 64-bit words that store the bits.
    public let wordCount: Int

    /// Creates `count` bits from the 64-bit words in `initial`. The lowest bit of the first word becomes bit 0. Bits
    /// that `initial` lacks are clear. Excess bits of `initial` have no effect.
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

    /// Returns the number of 64-bit words that `count` bits need.
    public static func wordCount(for count: Int) -> Int { count / 64 + (count % 64 == 0 ? 0 : 1) }

    /// Returns true if the bit at `index` is set; false if the bit is clear or `index` is out of range. After a result
    /// of true, the caller also sees all memory that another thread wrote before that thread set the bit.
    @inlinable
    public func contains(_ index: Int) -> Bool {
        guard index >= 0, index < count else { return false }
        return words[index >> 6].load(ordering: .acquiring) & (1 << UInt64(index & 63)) != 0
    }

    /// Sets the bit at `index`. Returns true if the bit was clear before. The caller guarantees that `index` is in
    /// range.
    public func set(_ index: Int) -> Bool {
        let mask: UInt64 = 1 << UInt64(index & 63)
        return words[index >> 6].bitwiseOr(mask, ordering: .sequentiallyConsistent).oldValue & mask == 0
    }

    /// Clears the bit at `index`. Returns true if the bit was set before. The caller guarantees that `index` is in
    /// range.
    public func clear(_ index: Int) -> Bool {
        let mask: UInt64 = 1 << UInt64(index & 63)
        return words[index >> 6].bitwiseAnd(~mask, ordering: .sequentiallyConsistent).oldValue & mask != 0
    }

    /// Returns the bits from `64 * index` to `64 * index + 63` as a word.
    @inlinable
    public func word(_ index: Int) -> UInt64 { words[index].load(ordering: .sequentiallyConsistent) }

    /// Returns all words. Each word is read atomically, but other threads may change words between these reads.
    public func snapshot() -> [UInt64] { (0..<wordCount).map { word($0) } }

    /// Returns the first index in `range` whose bit is `value`; `nil` if there is none. Checks 64 bits at a time.
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
