import Base
import CLinux
import LayerFormats
import LayerIndex
import TestSupport
import Testing

/// Tests of zstd:chunked as containers/storage writes it (podman, buildah, skopeo). The re-encoding tests cover the
/// form of stargz-snapshotter.
@Suite struct ZstdChunkedTests {
    private static let small = Array("small file\n".utf8)
    /// Two pieces of data with zeros between them.
    private static let pieces = [
        Samples.text(bytes: 60_000, seed: 1), [UInt8](repeating: 0, count: 5000), Samples.noise(bytes: 70_000, seed: 2),
    ]

    private struct Blob {
        var bytes: [UInt8] = []
        var toc: [UInt8] = []
        var compressedTOC: [UInt8] = []
        var layer: LayerDescription {
            LayerDescription(
                digest: Digest.of(bytes), size: UInt64(bytes.count),
                mediaType: "application/vnd.oci.image.layer.v1.tar+zstd",
                annotations: ["io.github.containers.zstd-chunked.manifest-checksum": "\(Digest.of(compressedTOC))"])
        }
    }

    /// Returns a blob in which each header and each piece has a frame. The table of contents, the tar-split data and
    /// the footer are in skippable frames.
    private static func blob(zeros: String = "zeros", edit: (inout [UInt8]) -> Void = { _ in }) -> Blob {
        var blob = Blob()
        func frame(_ bytes: [UInt8]) -> Int {
            let offset = blob.bytes.count
            blob.bytes += Compressed.zstd(bytes)
            return offset
        }
        func digest(_ bytes: [UInt8]) -> String { "\"\(Digest.of(bytes))\"" }
        let whole = pieces.flatMap { $0 }
        _ = frame(TarWriter.header(.file("small", small)))
        let first = frame(small)
        let end = blob.bytes.count
        _ = frame(TarWriter.padding(small.count) + TarWriter.header(.file("large", whole)))
        let offsets = pieces.map(frame)
        let largeEnd = blob.bytes.count
        _ = frame(TarWriter.padding(whole.count) + [UInt8](repeating: 0, count: 1024))
        let toc = """
            {"version":1,"entries":[
            {"type":"reg","name":"small","size":\(small.count),"modtime":"2020-09-13T12:26:40.5Z","offset":\(first),
             "endOffset":\(end),"digest":\(digest(small))},
            {"type":"reg","name":"large","size":\(whole.count),"offset":\(offsets[0]),"endOffset":\(largeEnd),
             "digest":\(digest(whole)),"chunkSize":\(pieces[0].count),"chunkDigest":\(digest(pieces[0]))},
            {"type":"chunk","name":"large","offset":\(offsets[1]),"chunkSize":\(pieces[1].count),"chunkOffset":60000,
             "chunkDigest":\(digest(pieces[1])),"chunkType":"\(zeros)"},
            {"type":"chunk","name":"large","offset":\(offsets[2]),"chunkSize":\(pieces[2].count),"chunkOffset":65000,
             "chunkDigest":\(digest(pieces[2]))}],
            "tarSplitDigest":\(digest([]))}
            """
        blob.toc = Array(toc.utf8)
        blob.compressedTOC = Compressed.zstd(blob.toc)
        let place = blob.bytes.count + 8
        blob.bytes += skippable(blob.compressedTOC)
        let split = Compressed.zstd(Array("{}".utf8))
        let splitPlace = blob.bytes.count + 8
        blob.bytes += skippable(split)
        var footer: [UInt8] = []
        for value in [place, blob.compressedTOC.count, blob.toc.count, 1, splitPlace, split.count, 2] {
            footer.appendLittleEndian(UInt64(value))
        }
        footer += Array("GNUlInUx".utf8)
        edit(&footer)
        blob.bytes += skippable(footer)
        return blob
    }

    private static func skippable(_ payload: [UInt8]) -> [UInt8] {
        var frame: [UInt8] = []
        frame.appendLittleEndian(0x184D_2A50 as UInt32)
        frame.appendLittleEndian(UInt32(payload.count))
        return frame + payload
    }

    /// Ignores the earlier contents of reused memory. They may be anything, such as another table of contents; here
    /// they are opening braces.
    @Test func whatWasInMemoryIsNoText() throws {
        let blob = Self.blob()
        _ = mallopt(M_PERTURB, Int32(UInt8(ascii: "{") ^ 0xFF))
        defer { _ = mallopt(M_PERTURB, 0) }
        // The first large block of a process comes from the kernel and is zero, so open the blob several times.
        for _ in 0..<5 { _ = try open(blob) }
    }

    private func open(_ blob: Blob, first: Int = .max, _ layer: LayerDescription? = nil) throws -> LayerIndexBytes {
        var opener = ZstdChunkedFormat().opener(for: layer ?? blob.layer)
        while true {
            switch try opener.next() {
            case .done(let index): return index
            case .readCompanion: throw OpenedLayer.Failure(reason: "an external TOC is asked for")
            case .read(let request):
                let count = UInt64(blob.bytes.count)
                let range =
                    switch request {
                    case .suffix(let wanted): ByteRange(offset: count - min(wanted, count, UInt64(first)), end: count)
                    case .range(let range): range
                    }
                try opener.receive(Array(blob.bytes[Int(range.offset)..<Int(range.end)]), range: range, blobSize: count)
            }
        }
    }

    @Test(arguments: [Int.max, 100, 300])
    func whatPodmanWritesIsRead(first: Int) throws {
        let blob = Self.blob()
        let opened = try OpenedLayer(open(blob, first: first), of: blob.bytes, windows: [])
        #expect(try opened.contents("small") == Self.small)
        #expect(try opened.contents("large") == Self.pieces.flatMap { $0 })
        #expect(try opened.node("small").attributes.modifiedNanoseconds == 500_000_000)
        let zeros = (0..<opened.chunks.chunkCount).filter { opened.chunks.chunk($0).isZeros }
        #expect(zeros.count == 1, "the hole needs no bytes")
    }

    @Test func anUnknownKindOfChunkIsRefused() {
        #expect(failure { try open(Self.blob(zeros: "holes")) } == .badTOC)
    }

    @Test func theTableOfContentsMustBeTheOneThatIsNamed() throws {
        let blob = Self.blob()
        var layer = blob.layer
        layer.annotations["io.github.containers.zstd-chunked.manifest-checksum"] = "\(Digest.of(blob.toc))"
        #expect(failure { try open(blob, layer) } == .tocDigestMismatch)
        layer.annotations["io.github.containers.zstd-chunked.manifest-checksum"] = "sha512:00"
        #expect(failure { try open(blob, layer) } == .unverified)
        layer.annotations = [:]
        #expect(failure { try open(blob, layer) } == .unverified)
        // The opener also accepts the digest of the text, which stargz-snapshotter uses.
        layer.annotations = [TOCOpener.digestAnnotation: "\(Digest.of(blob.toc))"]
        #expect(try OpenedLayer(open(blob, layer), of: blob.bytes, windows: []).nodes.count == 3)
    }

    @Test(arguments: [0, 8, 16, 24, 63])
    func aDamagedFooterIsRefused(offset: Int) {
        let blob = Self.blob { $0[offset] ^= 0x80 }
        let large = Self.blob { footer in for index in 0..<8 { footer[offset / 8 * 8 + index] = 0xff } }
        #expect(throws: LayerFormatError.self) { try open(blob) }
        #expect(throws: LayerFormatError.self) { try open(large) }
    }

    @Test func aBlobWithoutFooterIsAnOrdinaryLayer() {
        var blob = Self.blob()
        blob.bytes.removeLast(72)
        #expect(failure { try open(blob) } == .otherFormat)
        blob.bytes = Array(blob.bytes.prefix(10))
        #expect(failure { try open(blob) } == .otherFormat)
    }
}
