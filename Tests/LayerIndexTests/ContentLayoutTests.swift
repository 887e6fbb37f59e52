import Base
import LayerIndex
import TestSupport
import Testing

/// The positions of files in the content space, and the chunk and extent tables.
@Suite struct ContentLayoutTests {
    @Test("orders files as in the blob") func ordersFilesAsInBlob() throws {
        // The tree's order is a, b, c, the archive's c, a, b, and the blob's b, c, a; extents 0 and 4 are unused.
        let entries: [LayerEntry] = [
            .file("c", pieces: [(2, 512, 100), (3, 0, 5000)]), .file("a", pieces: [(3, 6000, 1)]),
            .file("b", pieces: [(1, 0, 4096), (2, 0, 10)]), .file("empty"),
        ]
        let index = try Layers.index(entries, extents: 5, prefetch: .blobPrefix(end: 2000))
        let table = try ChunkTable(bytes: index.chunks)
        let tree = try Listing(try TreeImage(bytes: index.tree)).files
        #expect(tree[Array("/b".utf8)]?.content == ByteRange(offset: 0, end: 4106))
        #expect(tree[Array("/c".utf8)]?.content == ByteRange(offset: 8192, end: 13_292))
        #expect(tree[Array("/a".utf8)]?.content == ByteRange(offset: 16_384, end: 16_385))
        #expect(tree[Array("/empty".utf8)]?.content == ByteRange(offset: 0, end: 0))
        #expect(table.contentSize == 20_480)
        #expect(table.blobDigest == Layers.digest && table.blobSize == 1 << 30)
        #expect(table.prefetch == .blobPrefix(end: 2000))
        #expect((0..<table.chunkCount).map { table.chunk($0).extent } == [0, 1, 1, 2, 2])
        #expect((0..<table.chunkCount).map { table.chunk($0).innerOffset } == [0, 0, 512, 0, 6000])
        let extents = (0..<table.extentCount).map { table.extent($0) }
        #expect(extents.map { $0.blob.offset } == [1000, 2000, 3000])
        #expect(extents.map { $0.codec } == [.zstd, .gzip, .zstd])
        #expect(extents.map { $0.chunks } == [0..<1, 1..<3, 3..<5])
        #expect(extents.map { $0.decodedLength } == [4096, 612, 6001])
        #expect(table.chunk(3).digest == .of(Array("c 100".utf8)))
    }

    @Test("accepts extents in any order") func acceptsExtentsInAnyOrder() throws {
        var builder = LayerIndexBuilder(blobDigest: Layers.digest, blobSize: 100)
        let last = try builder.addExtent(ByteRange(offset: 50, end: 100), codec: .raw)
        let first = try builder.addExtent(ByteRange(offset: 0, end: 50), codec: .gzip)
        try builder.add(.file("a", pieces: [(last, 0, 50)]))
        try builder.add(.file("b", pieces: [(first, 0, 500)]))
        let table = try ChunkTable(bytes: try builder.finish().chunks)
        #expect(table.extent(0).codec == .gzip && table.extent(1).codec == .raw)
        #expect(table.chunk(0).content.count == 500 && table.chunk(1).content.count == 50)
    }

    @Test func zeros() throws {
        func zeros(_ path: String, _ layout: [(isZeros: Bool, length: UInt64)]) -> LayerEntry {
            var entry = LayerEntry.file(path, pieces: [])
            for (isZeros, length) in layout {
                entry.pieces.append(
                    ContentPiece(
                        fileOffset: entry.attributes.size, length: length, digest: Layers.digest,
                        extent: isZeros ? 99 : 0,
                        innerOffset: isZeros ? 99 : 0, isZeros: isZeros))
                entry.attributes.size += length
            }
            return entry
        }
        let only = try ChunkTable(bytes: try Layers.index([zeros("z", [(true, 9000), (true, 10)])]).chunks)
        #expect(only.extentCount == 1 && only.extent(0).blob.isEmpty && only.extent(0).chunks == 0..<2)
        #expect(only.chunk(1).isZeros && only.chunk(1).content == ByteRange(offset: 9000, end: 9010))

        let entries = [zeros("a", [(true, 4096)]), zeros("b", [(true, 5), (false, 7), (true, 5)])]
        let index = try Layers.index(entries, extents: 2)
        let table = try ChunkTable(bytes: index.chunks)
        #expect(table.extentCount == 1)
        #expect(table.extent(0).chunks == 0..<4)
        #expect(table.extent(0).decodedLength == 7)
        #expect((0..<4).map { table.chunk($0).isZeros } == [true, false, true, true])
        #expect((0..<4).map { table.chunk($0).extent } == [0, 0, 0, 0])
        // Files of zeros come last.
        let files = try Listing(try TreeImage(bytes: index.tree)).files
        #expect(files[Array("/a".utf8)]?.content.offset == 4096)
    }

    static let refused: [(LayerIndexError.Code, [LayerEntry])] = [
        // Interleaved: each file returns to an extent before the other's last.
        (.unordered, [.file("a", pieces: [(0, 0, 1), (2, 0, 1)]), .file("b", pieces: [(1, 0, 1), (3, 0, 1)])]),
        (.unordered, [.file("a", pieces: [(1, 0, 1), (0, 0, 1)])]),
        (.unordered, [.file("a", pieces: [(0, 5, 1), (0, 0, 1)])]),
        // Overlapping, and the same bytes twice.
        (.unordered, [.file("a", pieces: [(0, 0, 10)]), .file("b", pieces: [(0, 9, 10)])]),
        (.unordered, [.file("a", pieces: [(0, 0, 10)]), .file("b", pieces: [(0, 0, 10)])]),
        (.invalidEntry, [.file("a", pieces: [(4, 0, 10)])]),
        (.invalidEntry, [.file("a", pieces: [(0, 0, 0)])]),
        (.invalidEntry, [.file("a", pieces: [(0, 0, 64 << 20 + 1)])]),
        (.limit, [.file("a", pieces: [(0, 128 << 20, 1)])]),
        (.limit, [.file("a", pieces: [(0, .max, 1)])]),
    ]

    @Test("rejects interleaved and overlapping pieces", arguments: refused.indices)
    func rejectsInterleavedAndOverlappingPieces(number: Int) throws {
        let (code, entries) = Self.refused[number]
        let error = #expect(throws: LayerIndexError.self) { try Layers.index(entries, extents: 4) }
        #expect(error?.code == code, "\(error?.message ?? "")")
    }

    @Test("rejects bad extents") func rejectsBadExtents() throws {
        func refusal(_ ranges: ByteRange...) -> LayerIndexError.Code? {
            do throws(LayerIndexError) {
                var builder = LayerIndexBuilder(blobDigest: Layers.digest, blobSize: 1 << 30)
                for range in ranges { _ = try builder.addExtent(range, codec: .raw) }
                _ = try builder.finish()
                return nil
            } catch {
                return error.code
            }
        }
        #expect(refusal(ByteRange(offset: 0, end: 0)) == .invalidEntry)
        #expect(refusal(ByteRange(offset: 1 << 30, end: 1 << 30 + 1)) == .invalidEntry)
        #expect(refusal(ByteRange(offset: 5, end: .max)) == .invalidEntry)
        #expect(refusal(ByteRange(offset: 0, end: 96 << 20 + 1)) == .limit)
        #expect(refusal(ByteRange(offset: 0, end: 10), ByteRange(offset: 9, end: 20)) == .unordered)
        #expect(refusal(ByteRange(offset: 10, end: 20), ByteRange(offset: 0, end: 10)) == nil)
    }

    @Test("pieces must cover the file") func piecesMustCoverFile() throws {
        for (offset, length, size) in [(0, 9, 10), (1, 9, 10), (0, 11, 10), (1, 10, 10)] as [(UInt64, UInt64, UInt64)] {
            var entry = LayerEntry.file("a", pieces: [(0, 0, length)])
            entry.pieces[0].fileOffset = offset
            entry.attributes.size = size
            let error = #expect(throws: LayerIndexError.self) { try Layers.index([entry], extents: 1) }
            #expect(error?.code == .invalidEntry)
        }
    }

    @Test("finds the chunks of a range", arguments: [UInt64(1), 2, .random(in: 0...UInt64.max)])
    func findsChunksOfRange(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var entries: [LayerEntry] = []
        for number in 0..<UInt32(40) {
            var pieces: [(extent: UInt32, inner: UInt64, length: UInt64)] = []
            var inner: UInt64 = 0
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let length = UInt64.random(in: 1...9000, using: &random)
                pieces.append((number, inner, length))
                inner += length
            }
            entries.append(.file("f\(number)", pieces: pieces))
        }
        let table = try ChunkTable(bytes: try Layers.index(entries, extents: 40).chunks)
        for _ in 0..<2000 {
            let start = UInt64.random(in: 0...table.contentSize + 5000, using: &random)
            let count = UInt64([0, 1, 4096, 20_000, 1 << 30].randomElement(using: &random) ?? 0)
            let range = ByteRange(offset: start, end: start + count)
            let expected = (0..<table.chunkCount).filter { table.chunk($0).content.overlaps(range) }
            #expect(Array(table.chunks(overlapping: range)) == expected, "\(range), seed \(seed)")
        }
        #expect(table.chunks(overlapping: ByteRange(offset: 0, end: .max)) == 0..<table.chunkCount)
    }

    /// Returns the index of a file of `size` bytes in pieces of 64 MiB, one for each extent.
    static func huge(_ path: String, size: UInt64) throws -> LayerIndexBytes {
        var builder = LayerIndexBuilder(blobDigest: Layers.digest, blobSize: .max)
        var pieces: [(extent: UInt32, inner: UInt64, length: UInt64)] = []
        var left = size
        var offset: UInt64 = 0
        while left > 0 {
            let length = min(left, 64 << 20)
            let extent = try builder.addExtent(ByteRange(offset: offset, end: offset + 10), codec: .zstd)
            pieces.append((extent, 0, length))
            left -= length
            offset += 10
        }
        try builder.add(.file(path, pieces: pieces))
        return try builder.finish()
    }

    @Test("supports huge files") func supportsHugeFiles() throws {
        let size: UInt64 = 8 << 40
        let index = try Self.huge("huge", size: size)
        let tree = try TreeImage(bytes: index.tree)
        #expect(try Listing(tree).files[Array("/huge".utf8)]?.content.count == size)
        #expect(try ChunkTable(bytes: index.chunks).contentSize == size)
        let error = #expect(throws: LayerIndexError.self) { try Self.huge("huge", size: size + 1) }
        #expect(error?.code == .limit)
    }
}
