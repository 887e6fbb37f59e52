import Base
import LayerFormats
import LayerIndex
import TestSupport
import Testing

struct LayerFormatRegistryTests {
    private static let zstd = "application/vnd.oci.image.layer.v1.tar+zstd"
    private static let gzip = "application/vnd.oci.image.layer.v1.tar+gzip"

    private static func layer(
        _ blob: [UInt8] = [1], mediaType: String = gzip, annotations: [String: String] = [:],
        index: LayerDescription.Index? = nil
    ) -> LayerDescription {
        LayerDescription(
            digest: Digest.of(blob), size: UInt64(blob.count), mediaType: mediaType, annotations: annotations,
            index: index)
    }

    private static let someIndex = LayerDescription.Index(
        digest: Digest.of([2]), diffID: Digest.of([3]), source: (Digest.of([1]), 1), windows: nil)

    @Test(
        "chooses by annotation, media type and artifact",
        arguments: [
            (layer(annotations: [TOCOpener.digestAnnotation: "x"]), "eStargz"),
            (layer(mediaType: "", annotations: [TOCOpener.digestAnnotation: "x"]), "eStargz"),
            (layer(mediaType: zstd, annotations: [TOCOpener.digestAnnotation: "x"]), "zstd:chunked"),
            (
                layer(mediaType: zstd, annotations: ["io.containers.zstd-chunked.manifest-checksum": "x"]),
                "zstd:chunked"
            ),
            (layer(annotations: ["io.containers.zstd-chunked.manifest-checksum": "x"]), nil),
            (layer(index: someIndex), "artifact index"),
            (layer(annotations: [TOCOpener.digestAnnotation: "x"], index: someIndex), "eStargz"),
            (layer(mediaType: zstd), nil), (layer(), nil),
        ] as [(LayerDescription, String?)])
    func chooses(_ layer: LayerDescription, _ name: String?) {
        #expect(LayerFormatRegistry.standard.format(of: layer)?.name == name)
    }

    @Test("refuses an unannounced layer, unless unverified ones are allowed", arguments: [gzip, zstd, ""])
    func unannounced(mediaType: String) throws {
        let layer = Self.layer(mediaType: mediaType)
        #expect(failure { try LayerFormatRegistry.standard.opener(for: layer) } == .unverified)
        var opener = try LayerFormatRegistry.standard.opener(
            for: layer, options: LayerOpenOptions(allowUnverifiedTOC: true))
        guard case .read(.suffix(1)) = try opener.next() else {
            Issue.record("the opener does not ask for the blob's end")
            return
        }
    }

    // MARK: - A new format

    @Test("a format of the tests opens through the same registry")
    func newFormat() throws {
        let files = [("one", Samples.text(bytes: 5000, seed: 1)), ("two", Samples.noise(bytes: 70, seed: 2))]
        let blob = LineFormat.blob(files)
        let layer = Self.layer(blob, annotations: [LineFormat.annotation: "1"])
        #expect(LayerFormatRegistry.standard.format(of: layer) == nil)
        let registry = LayerFormatRegistry(LayerFormatRegistry.standard.formats + [LineFormat()])
        var opener = try registry.opener(for: layer)
        let size = UInt64(blob.count)
        while true {
            switch try opener.next() {
            case .read(let request):
                let range =
                    switch request {
                    case .suffix(let count): ByteRange(offset: size - min(count, size), end: size)
                    case .range(let range): range
                    }
                try opener.receive(Array(blob[Int(range.offset)..<Int(range.end)]), range: range, blobSize: size)
            case .readCompanion: Issue.record("lines have no companion")
            case .done(let index):
                let opened = try OpenedLayer(index, of: blob, windows: [])
                for (name, content) in files { #expect(try opened.contents(name) == content) }
                return
            }
        }
    }

    // MARK: - The artifact's index

    /// Returns an ordinary layer, and the index that an artifact has for it.
    private static func indexed() throws -> (layer: LayerDescription, blob: [UInt8], encoded: [UInt8]) {
        let blob = Compressed.gzip(TarWriter.archive([.file("file", Samples.text(bytes: 3000, seed: 4))]))
        let digest = Digest.of(blob)
        let indexer = LayerIndexer(blobDigest: digest, blobSize: UInt64(blob.count))
        try blob.withUnsafeBytes { try indexer.push($0) }
        let made = try indexer.finish()
        let encoded = try LayerIndexBlob.encode(made.index, blobDigest: digest, diffID: made.diffID)
        let windows = try ChunkTable(bytes: made.index.chunks).windows?.digest
        let index = LayerDescription.Index(
            digest: Digest.of(encoded), diffID: made.diffID, source: (digest, UInt64(blob.count)), windows: windows)
        return (layer(blob, index: index), blob, encoded)
    }

    private static func open(_ layer: LayerDescription, _ bytes: [UInt8]) throws -> LayerIndexBytes {
        var opener = try LayerFormatRegistry.standard.opener(for: layer)
        guard case .readCompanion(.index(let digest)) = try opener.next(), digest == layer.index?.digest else {
            throw OpenedLayer.Failure(reason: "the index is not asked for")
        }
        try opener.receiveCompanion(bytes)
        guard case .done(let index) = try opener.next() else { throw OpenedLayer.Failure(reason: "no index") }
        return index
    }

    @Test("opens a layer with an artifact's index")
    func artifactIndex() throws {
        let (layer, blob, encoded) = try Self.indexed()
        let opened = try OpenedLayer(Self.open(layer, encoded), of: blob, windows: [])
        #expect(try opened.contents("file") == Samples.text(bytes: 3000, seed: 4))
    }

    @Test("refuses an index whose tree gives one file two names but a link count of 1")
    func wrongLinkCount() throws {
        // Many directories keep the changed entry out of the block that the superblock's checksum covers.
        let blob = Compressed.gzip(
            TarWriter.archive(
                (0..<300).map { .directory("d\($0)") } + [.directory("x"), .file("x/a", "a"), .file("x/b", "b")]))
        let digest = Digest.of(blob)
        let indexer = LayerIndexer(blobDigest: digest, blobSize: UInt64(blob.count))
        try blob.withUnsafeBytes { try indexer.push($0) }
        var made = try indexer.finish()
        var finder = EntryFinder(try TreeImage(bytes: made.index.tree))
        let inodes = try ["x", "x/a", "x/b"].map { try #require(try finder.inode(of: Array($0.utf8))) }
        let (old, new) = (
            withUnsafeBytes(of: inodes[2].littleEndian) { Array($0) },
            withUnsafeBytes(of: inodes[1].littleEndian) { Array($0) }
        )
        let start = Int(inodes[0]) * 32
        let places = stride(from: start, to: start + 256, by: 4).filter {
            made.index.tree[$0..<$0 + 8].elementsEqual(old)
        }
        let place = try #require(places.first)
        made.index.tree.replaceSubrange(place..<place + 8, with: new)
        let encoded = try LayerIndexBlob.encode(made.index, blobDigest: digest, diffID: made.diffID)
        let windows = try ChunkTable(bytes: made.index.chunks).windows?.digest
        let layer = Self.layer(
            blob,
            index: LayerDescription.Index(
                digest: Digest.of(encoded), diffID: made.diffID, source: (digest, UInt64(blob.count)),
                windows: windows))
        let error = #expect(throws: LayerFormatError.self) { try Self.open(layer, encoded) }
        #expect(error?.code == .badTOC)
    }

    @Test("refuses an index of another layer, archive, source or with other windows", arguments: 0..<5)
    func foreignIndex(number: Int) throws {
        var (layer, _, encoded) = try Self.indexed()
        switch number {
        case 0: layer.digest = Digest.of([0])
        case 1: layer.index?.diffID = Digest.of([0])
        case 2: layer.index?.source.size += 1
        case 3: layer.index?.source.digest = Digest.of([0])
        default: layer.index?.windows = Digest.of([0])
        }
        #expect(failure { try Self.open(layer, encoded) } == .badTOC)
    }

    @Test("refuses damaged indexes, and bytes that nobody asked for")
    func misuse() throws {
        let (layer, blob, encoded) = try Self.indexed()
        #expect(failure { try Self.open(layer, Array(encoded.dropLast(10))) } == .badTOC)
        #expect(failure { try Self.open(layer, []) } == .badTOC)
        var opener = try LayerFormatRegistry.standard.opener(for: layer)
        #expect(failure { try opener.receiveCompanion(encoded) } == .badResponse)
        var second = try LayerFormatRegistry.standard.opener(for: layer)
        let range = ByteRange(offset: 0, end: UInt64(blob.count))
        #expect(failure { try second.receive(blob, range: range, blobSize: range.end) } == .badResponse)
    }
}
