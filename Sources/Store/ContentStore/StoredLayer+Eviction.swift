import Base
import Concurrency
import LayerIndex
import Linux
import SystemPackage

// Eviction: the removal of chunks from the disk to make room. ``PresenceFile``, point 5, says why the order of the
// steps matters.

extension StoredLayer {
    /// Evicts extents (the smallest decodable pieces of the blob) that nobody has read since the last look at them,
    /// until they occupy `goal` bytes. The next call goes on where this one ends.
    ///
    /// Whole extents are evicted, because the node can fetch only whole extents again. Every extent that was read gets
    /// a second chance: the function forgets that it was read, and passes on.
    ///
    /// - Returns: the number of bytes that the content file became smaller.
    /// - Throws: an error if the disk fails.
    package func evict(_ goal: UInt64) throws(ContentStoreError) -> UInt64 {
        var victims: [Int] = []
        var bytes: UInt64 = 0
        evictionHand.withLock { hand in
            for _ in 0..<chunks.extentCount where bytes < goal {
                if hand >= chunks.extentCount { hand = 0 }
                let extent = chunks.extent(hand).chunks
                hand += 1
                guard present(in: extent) != nil, !forgetReads(of: extent) else { continue }
                for chunk in extent where isPresent(chunk) && !chunks.chunk(chunk).isZeros {
                    victims.append(chunk)
                    bytes += chunks.chunk(chunk).content.count
                }
            }
        }
        return try victims.isEmpty ? 0 : evict(victims)
    }

    /// Evicts chunks. Blocks until no read that began earlier can need their bytes.
    private func evict(_ victims: [Int]) throws(ContentStoreError) -> UInt64 {
        try durabilityLock.withLock { () throws(ContentStoreError) in
            // From here on, no chunk of these is published. Somebody who needs one is served from memory.
            let marks = AtomicBits(count: chunks.chunkCount)
            for chunk in victims { _ = marks.set(chunk) }
            evicting.withLock { $0 = marks }
            defer { evicting.withLock { $0 = nil } }
            operations.waitForEarlier()
            let cleared = victims.filter(clear)
            guard !cleared.isEmpty else { return 0 }
            operations.waitForEarlier()
            do throws(ContentStoreError) {
                try retract(cleared)
            } catch {
                // Nothing was freed, so the bytes are still there. A failing disk must not cost its readable content.
                cleared.forEach(mark)
                throw error
            }
            return try ContentStoreError.wrapping("cannot free space of \(contentPath)") { () throws(Errno) in
                let before = try allocated()
                for hole in chunks.holes(of: cleared.sorted()) { try punch(hole) }
                let after = try allocated()
                return before - min(before, after)
            }
        }
    }
}

extension ChunkTable {
    /// Returns the ranges of the content space that hold only `numbers`, the numbers of chunks in ascending order. A
    /// range extends over the unused rest of its last block: each file begins with a block of its own.
    func holes(of numbers: [Int]) -> [ByteRange] {
        var holes: [ByteRange] = []
        for number in numbers {
            let content = chunk(number).content
            let next = number + 1 < chunkCount ? chunk(number + 1).content.offset : contentSize
            let block = CacheSpace.block
            let end = max(content.end, min((content.end + block - 1) / block * block, next))
            if let last = holes.last, last.end == content.offset {
                holes[holes.count - 1] = ByteRange(offset: last.offset, end: end)
            } else {
                holes.append(ByteRange(offset: content.offset, end: end))
            }
        }
        return holes
    }
}
