import Base
import LayerFormats
import LayerIndex
import TestSupport
import Testing

/// Tests of where the bytes of files lie, and of their digests.
@Suite struct EstargzChunkTests {
    /// Runs the read matrix of stargz-snapshotter: 23 bytes in chunks of 4, read at every offset.
    @Test(arguments: EstargzTreeTests.prefixes)
    func smallChunks(prefix: String) throws {
        let text = Array("abcdefghijklmnopqrstuvw".utf8)
        var options = EstargzOptions()
        options.prefix = prefix
        options.chunkSize = 4
        let blob = EstargzBlob.make([.directory("d/"), .file("d/chunked", text)], options)
        #expect(blob.toc.filter { $0.chunkDigest != nil }.count == 6)
        #expect(blob.streamOffsets.count == 6)
        let layer = try blob.opened()
        #expect(layer.chunks.chunkCount == 6 && layer.chunks.extentCount == 6)
        #expect(try layer.contents("d/chunked") == text)
        let content = try #require(try layer.tree.content(layer.node("d/chunked").inode))
        for offset in 0..<UInt64(text.count) {
            let found = layer.chunks.chunks(
                overlapping: ByteRange(offset: content.range.offset + offset, end: content.range.offset + offset + 1))
            #expect(found == Int(offset) / 4..<Int(offset) / 4 + 1)
            let chunk = layer.chunks.chunk(found.lowerBound)
            let bytes = try layer.decode(found.lowerBound)
            #expect(bytes[Int(content.range.offset + offset - chunk.content.offset)] == text[Int(offset)])
        }
    }

    struct Shape: Sendable {
        var chunkSize: Int
        var minimumChunkSize: Int
        var prefix: String
    }

    static let shapes = [3, 4096, 32_000, 4 << 20].flatMap { chunk in
        [0, 100, 64_000].flatMap { minimum in
            ["", "./"].map { Shape(chunkSize: chunk, minimumChunkSize: minimum, prefix: $0) }
        }
    }

    /// Returns every file unchanged: empty or not, chunked or not, in its own stream or a shared one. Links and devices
    /// lie between the files.
    @Test(arguments: shapes)
    func everyFileComesBack(shape: Shape) throws {
        // The writer recompresses a shared stream for each chunk, so use fewer bytes if chunks are tiny.
        let scale = shape.chunkSize < 100 ? 1 : 1000
        var entries: [TarEntry] = [.directory("dir/")]
        for index in 0..<11 {
            let size = index % 3 == 0 ? 0 : index * 7 * scale
            let bytes =
                index % 2 == 0 ? Samples.noise(bytes: size, seed: UInt64(index)) : Samples.text(bytes: size, seed: 9)
            entries.append(.file("dir/file\(index)", bytes))
            if index % 4 == 0 {
                entries += [.symlink("link\(index)", to: "dir/file\(index)"), .node(.fifo, "fifo\(index)")]
            }
        }
        entries.append(.hardlink("again", to: "dir/file10"))
        var options = EstargzOptions()
        options.chunkSize = shape.chunkSize
        options.minimumChunkSize = shape.minimumChunkSize
        options.prefix = shape.prefix
        let blob = EstargzBlob.make(entries, options)
        let layer = try blob.opened()
        for entry in entries where entry.kind == .regular {
            #expect(try layer.contents(String(decoding: entry.path, as: UTF8.self)) == entry.contents)
        }
        let pieces = entries.reduce(0) { $0 + ($1.contents.count + shape.chunkSize - 1) / shape.chunkSize }
        #expect(layer.chunks.chunkCount == pieces)
        #expect(layer.chunks.extentCount == Set(blob.toc.filter { $0.chunkDigest != nil }.map { $0.offset ?? 0 }).count)
        // Each extent ends where the next one begins, and the last one ends where the TOC begins.
        for index in 0..<layer.chunks.extentCount {
            let next =
                index + 1 < layer.chunks.extentCount
                ? layer.chunks.extent(index + 1).blob.offset : UInt64(blob.tocOffset)
            #expect(layer.chunks.extent(index).blob.end == next)
        }
    }

    /// Accepts a shared stream that begins at the start of the blob. Its offset is 0, which Go leaves out of the JSON.
    @Test func aStreamAtTheStartOfTheBlob() throws {
        var options = EstargzOptions()
        options.minimumChunkSize = 1 << 20
        let blob = EstargzBlob.make([.directory("d/"), .file("d/a", "first"), .file("d/b", "second")], options)
        #expect(blob.toc[1].offset == nil && (blob.toc[1].innerOffset ?? 0) > 0)
        let layer = try blob.opened()
        #expect(layer.chunks.extentCount == 1)
        #expect(try layer.contents("d/a") == Array("first".utf8) && layer.contents("d/b") == Array("second".utf8))
    }

    /// Accepts a digest of the whole file for the file's only chunk. CRFS gives no other digest.
    @Test func aFileDigestVouchesForOneChunk() throws {
        var options = EstargzOptions()
        options.footer = .legacy
        let blob = EstargzBlob.make([.file("one", "chunk")], options) { $0[0].chunkDigest = nil }
        #expect(try blob.opened().contents("one") == Array("chunk".utf8))
        options.chunkSize = 3
        let chunked = EstargzBlob.make([.file("two", "chunks")], options) { $0[0].chunkDigest = nil }
        #expect(failure { try chunked.open() } == .unverified)
        let bare = EstargzBlob.make([.file("one", "chunk")]) {
            $0[0].chunkDigest = nil
            $0[0].digest = nil
        }
        #expect(failure { try bare.open() } == .unverified)
        #expect(failure { try bare.open(allowUnverifiedTOC: true, annotated: false) } == .unverified)
    }

    /// Accepts a last chunk with or without its size, and ignores the name of a chunk.
    @Test func sizesOfChunks() throws {
        var options = EstargzOptions()
        options.chunkSize = 4
        let blob = EstargzBlob.make([.file("f", "0123456789")], options) { toc in
            toc[2].chunkSize = 2
            toc[1].name = Array("another".utf8)
        }
        #expect(try blob.opened().contents("f") == Array("0123456789".utf8))
    }

    /// Runs the verification matrix of stargz-snapshotter: chunk size 3, with and without other kinds of entries.
    @Test(arguments: [0, 1, 2, 3])
    func tocAndChunkDigests(variant: Int) throws {
        let entries: [[TarEntry]] = [
            [.directory("only/"), .symlink("link", to: "x")],
            [.file("a", "b"), .file("c", "dd")],
            [.file("big", "0123456789"), .directory("d/"), .file("d/bigger", "abcdefghijklmnop")],
            [.node(.character, "null", 1, 3), .file("big", "01234567"), .hardlink("h", to: "big"), .node(.fifo, "p")],
        ]
        var options = EstargzOptions()
        options.chunkSize = 3
        let blob = EstargzBlob.make(entries[variant], options)
        let layer = try blob.opened()
        for index in 0..<layer.chunks.chunkCount { _ = try layer.decode(index) }
        #expect(layer.nodes.count == entries[variant].count + 1)

        // The opener refuses a TOC with another entry under the old digest.
        let changed = EstargzBlob.make(entries[variant] + [.directory("more/")], options)
        var description = changed.description()
        description.annotations = blob.annotations
        #expect(openingFails(changed, description) == .tocDigestMismatch)

        // The opener refuses a missing chunk digest, and two chunks at one offset.
        for index in blob.toc.indices where blob.toc[index].chunkDigest != nil && blob.toc[index].type == "chunk" {
            let bare = EstargzBlob.make(entries[variant], options) { $0[index].chunkDigest = nil }
            #expect(failure { try bare.open() } == .unverified)
            let twice = EstargzBlob.make(entries[variant], options) { $0[index].offset = $0[index - 1].offset }
            #expect(failure { try twice.open() } == .badTOC)
        }
    }

    private func openingFails(_ blob: EstargzBlob, _ description: LayerDescription) -> LayerFormatError.Code? {
        failure {
            var opener = EstargzFormat().opener(for: description)
            _ = try opener.next()
            let range = ByteRange(offset: 0, end: UInt64(blob.bytes.count))
            try opener.receive(blob.bytes, range: range, blobSize: range.end)
            return try opener.next()
        }
    }
}
