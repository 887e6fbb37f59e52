import Base
import Codecs
import LayerFormats
import LayerIndex
import TestSupport
import Testing

/// Tests that index ordinary layers as their bytes arrive, and read them through their indexes.
@Suite struct LayerIndexerTests {
    private static let files: [(path: String, bytes: [UInt8])] = [
        ("bin/program", Samples.noise(bytes: 900_000, seed: 1)), ("etc/empty", []),
        ("share/text", Samples.text(bytes: 2_500_000, seed: 2)), ("share/small", Array("small".utf8)),
        ("share/zeros", [UInt8](repeating: 0, count: 400_000)),
        ("share/block", Samples.text(bytes: 131_072, seed: 3)), ("share/last", Samples.text(bytes: 300_001, seed: 4)),
    ]

    private static let archive: [UInt8] = {
        var entries = ["bin", "etc", "share"].map { TarEntry.directory($0) }
        for (number, file) in files.enumerated() {
            entries.append(.file(file.path, file.bytes))
            if number == 0 {
                entries += [.symlink("bin/link", to: "program"), .hardlink("bin/same", to: "bin/program")]
            }
        }
        return TarWriter.archive(entries + [.file("etc/.wh.gone", "")])
    }()

    private static func index(_ blob: [UInt8], piece: Int = 100_000, digest: Digest? = nil) throws -> IndexedLayer {
        let indexer = LayerIndexer(blobDigest: digest ?? Digest.of(blob), blobSize: UInt64(blob.count))
        var position = 0
        while position < blob.count {
            let end = min(position + piece, blob.count)
            try blob[position..<end].withUnsafeBytes { try indexer.push($0) }
            position = end
        }
        return try indexer.finish()
    }

    /// Returns the blob of a kind: one gzip member, small gzip members, small zstd frames, or the plain archive.
    private static func blob(_ kind: String) -> [UInt8] {
        switch kind {
        case "gzip": return Compressed.gzip(archive)
        case "raw": return archive
        default:
            let codec: Codec = kind == "members" ? .gzip : .zstd
            return stride(from: 0, to: archive.count, by: 70_000).flatMap {
                Compressed.member(Array(archive[$0..<min($0 + 70_000, archive.count)]), codec: codec)
            }
        }
    }

    @Test(arguments: ["gzip", "members", "frames", "raw"])
    func everyFileIsReadThroughTheIndex(kind: String) throws {
        let blob = Self.blob(kind)
        let indexed = try Self.index(blob, piece: 1 << 20)
        #expect(indexed.diffID == Digest.of(Self.archive))
        #expect(indexed.windows.isEmpty == (kind != "gzip"))
        let layer = try OpenedLayer(indexed.index, of: blob, windows: indexed.windows)
        #expect(layer.chunks.extentCount > 5 && layer.chunks.blobDigest == Digest.of(blob))
        for file in Self.files { #expect(try layer.contents(file.path) == file.bytes, "\(file.path)") }
        #expect(try layer.contents("bin/same") == Self.files[0].bytes)
        #expect(try layer.node("bin/link").link == Array("program".utf8))
        #expect(try layer.node("etc/gone").attributes.isWhiteout)
        // The sizes of the pieces do not matter.
        let other = try Self.index(blob, piece: 4097)
        #expect(other.index.tree == indexed.index.tree && other.index.chunks == indexed.index.chunks)
        #expect(other.windows == indexed.windows)
    }

    @Test func zerosNeedNotBeFetched() throws {
        let blob = Self.blob("gzip")
        let indexed = try Self.index(blob)
        let layer = try OpenedLayer(indexed.index, of: blob, windows: indexed.windows)
        let zeros = (0..<layer.chunks.chunkCount).filter { layer.chunks.chunk($0).isZeros }
        #expect(zeros.count == 4)
    }

    @Test func anotherBlobIsRefused() throws {
        let blob = Self.blob("gzip")
        for bad in [Array(blob.dropLast(1)), Array(blob.dropLast(3000)), blob + [0]] {
            let indexer = LayerIndexer(blobDigest: Digest.of(blob), blobSize: UInt64(blob.count))
            let error = #expect(throws: LayerFormatError.self) {
                try bad.withUnsafeBytes { try indexer.push($0) }
                _ = try indexer.finish()
            }
            #expect(error?.code == .badArchive)
        }
        #expect(throws: LayerFormatError.self) { try Self.index(blob, digest: Digest.of([1])) }
    }

    @Test func anIndexSurvivesTheRegistry() throws {
        let blob = Self.blob("gzip")
        let indexed = try Self.index(blob)
        let stored = try LayerIndexBlob.encode(
            indexed.index, blobDigest: Digest.of(blob), diffID: indexed.diffID)
        #expect(stored.count < indexed.index.tree.count + indexed.index.chunks.count)
        let read = try LayerIndexBlob(bytes: stored)
        #expect(read.index.tree == indexed.index.tree && read.index.chunks == indexed.index.chunks)
        #expect(read.blobDigest == Digest.of(blob) && read.diffID == indexed.diffID)
    }

    /// Survives arbitrary bytes from a registry. They cause an error, or an index that is checked when it is opened,
    /// but never a trap.
    @Test(arguments: [UInt64.random(in: 0...UInt64.max)]) func damagedIndexesAreRefused(seed: UInt64) throws {
        let blob = Self.blob("gzip")
        let indexed = try Self.index(blob)
        let good = try LayerIndexBlob.encode(indexed.index, blobDigest: Digest.of(blob), diffID: indexed.diffID)
        var random = SeededRandom(seed: seed)
        for round in 0..<300 {
            var bad = good
            if round % 3 == 0 { bad.removeLast(Int(random.next() % UInt64(bad.count))) }
            for _ in 0..<(round % 4) where !bad.isEmpty {
                let place = round % 2 == 0 ? random.next() % 96 : random.next()
                bad[Int(place % UInt64(bad.count))] = UInt8(truncatingIfNeeded: random.next())
            }
            guard let read = try? LayerIndexBlob(bytes: bad) else { continue }
            _ = try? TreeImage(bytes: read.index.tree)
            _ = try? ChunkTable(bytes: read.index.chunks)
        }
        for size in [0, 1, 95, 96] {
            #expect(throws: LayerFormatError.self) { try LayerIndexBlob(bytes: Array(good.prefix(size))) }
        }
    }
}
