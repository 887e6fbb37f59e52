public import Base

extension ChunkTable {
    /// Returns true if the file at `range` of this table's content space has the same chunks as the file at
    /// `otherRange` of the content space of `other`.
    ///
    /// Chunks that this table marks as zeros must be zeros in `other`, too. The reverse is not required: a chunk of
    /// zeros may also be fetched.
    public func hasSameFile(_ range: ByteRange, as otherRange: ByteRange, of other: ChunkTable) -> Bool {
        guard range.count == otherRange.count else { return false }
        let (own, others) = (chunks(overlapping: range), other.chunks(overlapping: otherRange))
        guard own.count == others.count else { return false }
        return zip(own, others).allSatisfy { number, otherNumber in
            let (mine, theirs) = (chunk(number), other.chunk(otherNumber))
            return mine.content.offset &- range.offset == theirs.content.offset &- otherRange.offset
                && mine.content.count == theirs.content.count && mine.digest == theirs.digest
                && (!mine.isZeros || theirs.isZeros)
        }
    }

    /// Returns true if the file at `range` has as many chunks as the file at `otherRange` of the content space of
    /// `other`, and the chunks have the same lengths.
    public func isCutAlike(_ range: ByteRange, _ otherRange: ByteRange, of other: ChunkTable) -> Bool {
        let (own, others) = (chunks(overlapping: range), other.chunks(overlapping: otherRange))
        return own.count == others.count
            && zip(own, others).allSatisfy { chunk($0).content.count == other.chunk($1).content.count }
    }

    /// Returns the number of a chunk that is marked as zeros but has the digest of other bytes; `nil` if there is none.
    ///
    /// Nobody fetches a chunk of zeros, so nothing else compares it with its digest. The function hashes only as many
    /// zeros as the longest chunk of zeros has, however many such chunks there are.
    public func falseZeros() -> Int? {
        var zeros: [(length: UInt64, chunk: Int, digest: Digest)] = []
        for number in 0..<chunkCount {
            let chunk = chunk(number)
            if chunk.isZeros { zeros.append((chunk.content.count, number, chunk.digest)) }
        }
        zeros.sort { $0.length < $1.length }
        var hasher = DigestHasher()
        var hashed: UInt64 = 0
        var known: (length: UInt64, digest: Digest)?
        let block = [UInt8](repeating: 0, count: 64 << 10)
        for (length, number, digest) in zeros {
            while hashed < length {
                let step = Int(min(length - hashed, UInt64(block.count)))
                block.withUnsafeBytes { hasher.update(UnsafeRawBufferPointer(rebasing: $0[..<step])) }
                hashed += UInt64(step)
            }
            if known?.length != length { known = (length, hasher.finish()) }
            if known?.digest != digest { return number }
        }
        return nil
    }
}
