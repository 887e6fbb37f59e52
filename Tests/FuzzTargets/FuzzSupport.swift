import Base
import LayerFormats
import LayerIndex
import TestSupport

/// Helpers that several targets share.
enum FuzzSupport {
    /// Returns the CRC-32C that EROFS and our tables store: bit by bit, not inverted at the end.
    static func checksum(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var state = UInt32.max
        for byte in bytes {
            state ^= UInt32(byte)
            for _ in 0..<8 { state = state & 1 == 0 ? state >> 1 : state >> 1 ^ 0x82f6_3b78 }
        }
        return state
    }

    /// Writes the checksum of `bytes[start..<end]` at `offset`, so that damage gets past the check. The checksum's own
    /// four bytes count as 0.
    static func fixChecksum(_ bytes: inout [UInt8], from start: Int, to end: Int, at offset: Int) {
        guard end <= bytes.count, offset + 4 <= end else { return }
        for index in 0..<4 { bytes[offset + index] = 0 }
        let sum = checksum(bytes[start..<end])
        for index in 0..<4 { bytes[offset + index] = UInt8(truncatingIfNeeded: sum >> UInt32(8 * index)) }
    }

    /// The index of a small layer with one entry of each kind, to damage.
    static let sample: LayerIndexBytes = {
        var options = EstargzOptions()
        options.chunkSize = 4000
        options.minimumChunkSize = 2000
        options.landmark = .prefetch(before: 2)
        let blob = EstargzBlob.make(
            [
                .directory("d/", mode: 0o1777), .file("d/empty", ""), .file("d/.wh.gone", ""),
                .file("d/.wh..wh..opq", ""),
                .file("d/f", "0123456789", mode: 0o4755).owned(by: 70_000, 5), .symlink("s", to: "d/f"),
                .hardlink("h", to: "d/f"), .node(.character, "c", 1, 3), .node(.block, "b", 8, 1), .node(.fifo, "p"),
                .file("x", "abc").withAttribute("security.capability", [1, 0, 0, 2]),
                .file("large", Samples.text(bytes: 9000, seed: 1)),
            ] + (0..<300).map { .file("many/file\($0)", "\($0)") }, options)
        let range = ByteRange(offset: 0, end: UInt64(blob.bytes.count))
        var opener = EstargzFormat().opener(
            for: LayerDescription(digest: blob.digest, size: range.end, mediaType: "", annotations: blob.annotations))
        do {
            _ = try opener.next()
            try opener.receive(blob.bytes, range: range, blobSize: range.end)
            guard case .done(let index) = try opener.next() else { preconditionFailure("nothing is missing") }
            return index
        } catch {
            preconditionFailure("the sample does not open: \(error)")
        }
    }()

    /// Returns the bytes that `input` describes. If its first byte is odd, these are the bytes after it, verbatim.
    /// Otherwise they are `base` with changes. Each change takes three bytes: the position (low byte first) and the new
    /// byte.
    static func bytes(_ input: UnsafeRawBufferPointer, damaging base: [UInt8]) -> [UInt8] {
        guard let kind = input.first, kind & 1 == 0 else { return Array(input.dropFirst()) }
        var bytes = base
        var rest = input.dropFirst()
        while rest.count >= 3 {
            let patch = Array(rest.prefix(3))
            rest = rest.dropFirst(3)
            bytes[(Int(patch[0]) | Int(patch[1]) << 8) % bytes.count] = patch[2]
        }
        return bytes
    }

    /// Calls every accessor of `table`. An opened table never fails.
    static func walk(_ table: ChunkTable) {
        var end: UInt64 = 0
        for index in 0..<table.chunkCount {
            let chunk = table.chunk(index)
            precondition(chunk.content.offset >= end && chunk.content.end <= table.contentSize)
            end = chunk.content.end
            precondition(table.extent(chunk.extent).chunks.contains(index))
            precondition(table.chunks(overlapping: chunk.content) == index..<index + 1)
        }
        for index in 0..<table.extentCount {
            precondition(table.extent(index).blob.end <= table.blobSize && !table.extent(index).chunks.isEmpty)
        }
    }

    /// Reads everything in `tree` that a file system would read, up to `budget` inodes.
    static func walk(_ tree: TreeImage, budget: Int = 2000) {
        var pending = [tree.rootInode]
        var left = budget
        while let inode = pending.popLast(), left > 0 {
            left -= 1
            guard let attributes = try? tree.attributes(inode) else { continue }
            try? tree.forEachExtendedAttribute(inode) { name, value in
                _ = (name.reduce(0, ^), value.reduce(0, ^))
                return true
            }
            switch attributes.kind {
            case .directory:
                var names: [[UInt8]] = []
                var cookies: [UInt64] = []
                try? tree.forEachEntry(inode) { name, child, _, next in
                    names.append(Array(name))
                    cookies.append(next)
                    if names.count < 200, name.count > 2 || !name.allSatisfy({ $0 == 0x2e }) { pending.append(child) }
                    return names.count < 200
                }
                for name in names.prefix(20) { name.withUnsafeBytes { _ = try? tree.lookup(inode, $0) } }
                for cookie in cookies.prefix(20) { try? tree.forEachEntry(inode, from: cookie) { _, _, _, _ in false } }
                // A number from the input in place of a cookie.
                try? tree.forEachEntry(inode, from: UInt64(attributes.modifiedNanoseconds)) { _, _, _, _ in false }
            case .symlink:
                _ = try? tree.withSymbolicLink(inode) { $0.reduce(0, ^) }
            case .regular:
                _ = try? tree.content(inode)
            default: break
            }
        }
    }
}
