import Artifacts
import Base
import Codecs
import ContentStore
import LayerFormats
import LayerIndex
import Linux
import Logging
import NIOPosix
import Planner
import Registry
import Streaming
import TestRegistry
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct LayerAuditTests {
    private static let logger = Logger.silent

    private static func archive(_ text: String) -> [UInt8] {
        TarWriter.archive([
            .directory("dir"), .file("dir/zeros", [UInt8](repeating: 0, count: 200_000)),
            .file("dir/text", Samples.text(bytes: 700_000, seed: 1)), .file("dir/small", text),
        ])
    }

    /// - Parameter layer: the digest of the layer that the blob is a copy of; `nil` if the blob is the layer's own.
    private static func indexed(_ blob: [UInt8], of layer: Digest? = nil) throws -> IndexedLayer {
        let indexer = LayerIndexer(layer: layer, blobDigest: Digest.of(blob), blobSize: UInt64(blob.count))
        try blob.withUnsafeBytes { try indexer.push($0) }
        return try indexer.finish()
    }

    /// Fills the layer with the content that the archive's index names.
    private static func fill(_ layer: StoredLayer, from archive: [UInt8]) throws {
        let files = ["zeros": 200_000, "text": 700_000, "small": 5]
        #expect(layer.chunks.contentSize >= UInt64(files.values.reduce(0, +)))
        // The table of the plain archive gives the position of each chunk.
        let plain = try ChunkTable(bytes: try indexed(archive).index.chunks)
        for number in 0..<layer.chunks.chunkCount {
            let chunk = layer.chunks.chunk(number)
            var bytes = [UInt8](repeating: 0, count: Int(chunk.content.count))
            for other in plain.chunks(overlapping: chunk.content) {
                let source = plain.chunk(other)
                guard !source.isZeros else { continue }
                let start = plain.extent(source.extent).blob.offset + source.innerOffset
                for offset in max(
                    source.content.offset, chunk.content.offset)..<min(
                        source.content.end, chunk.content.end)
                {
                    bytes[Int(offset - chunk.content.offset)] =
                        archive[Int(start + offset - source.content.offset)]
                }
            }
            #expect(Digest.of(bytes) == chunk.digest)
            try bytes.withUnsafeBytes { try layer.publish(number, $0) }
        }
    }

    /// Returns the finding of an audit. The layer's index and content come from `streamed`; the image contains `image`.
    private static func finding(
        streamed: [UInt8], image: [UInt8], claimed: Digest? = nil,
        _ change: (TestRegistry, Digest) -> Void = { _, _ in }
    ) async throws -> String? {
        let result = Guarded<String?>(nil)
        try await withTemporaryDirectory(in: "/var/tmp") { directory in
            let workers = NIOThreadPool(numberOfThreads: 2)
            workers.start()
            try await TestRegistry.withRegistry(Behaviour()) { registry in
                let blob = Compressed.gzip(image)
                let published = registry.addImage(
                    repository: "team/app", layers: [TestLayer(blob, diffID: claimed ?? Digest.of(image))])
                let digest = Digest.of(blob)
                let client = RegistryClient(RegistryConfiguration(), logger: logger)
                // The index of another archive, which claims to be of this blob.
                var index = try indexed(Compressed.gzip(streamed)).index
                if streamed != image { index = try rebound(streamed, to: digest, size: blob.count) }
                let store = try ContentStore(root: directory)
                let origin = LayerOrigin(
                    repository: Repository(host: registry.host, name: "team/app"), manifest: published.manifestDigest)
                let key = LayerKey(digest, .inherited)
                let layer = try store.install(key, index: index, origin: try origin.encoded())
                try fill(layer, from: streamed)
                #expect(layer.isComplete)
                #expect(try store.origin(of: layer).flatMap { LayerOrigin($0) } == origin)
                change(registry, digest)
                let found = try await LayerAudit(registry: client, workers: workers, logger: logger).finding(
                    layer, origin)
                result.withLock { $0 = found }
                if found == nil {
                    try store.settleOrigin(of: layer)
                    #expect(try store.origin(of: layer) == nil)
                } else {
                    try store.refuse(key)
                    #expect(try store.isRefused(key))
                }
                await client.shutdown()
            }
            try await workers.shutdownGracefully()
        }
        return result.withLock { $0 }
    }

    /// Returns the index of `archive`, without compression, under the digest of another blob.
    private static func rebound(
        _ archive: [UInt8], to digest: Digest, size: Int, codec: ExtentCodec = .gzip
    ) throws -> LayerIndexBytes {
        var builder = LayerIndexBuilder(blobDigest: digest, blobSize: UInt64(size))
        let extent = try builder.addExtent(ByteRange(offset: 0, end: UInt64(size)), codec: codec)
        var reader = TarReader()
        var entry: LayerEntry?
        try archive.withUnsafeBytes { bytes in
            try reader.push(bytes) { (event, offset) throws(LayerFormatError) in
                do throws(LayerIndexError) {
                    switch event {
                    case .entry(let next, _): entry = next
                    case .content(let bytes):
                        var done = 0
                        while done < bytes.count {
                            let part = UnsafeRawBufferPointer(
                                rebasing: bytes[done..<min(done + 128 << 10, bytes.count)])
                            entry?.pieces.append(
                                ContentPiece(
                                    fileOffset: UInt64(done), length: UInt64(part.count), digest: Digest.of(part),
                                    extent: extent, innerOffset: offset + UInt64(done),
                                    isZeros: part.allSatisfy { $0 == 0 }))
                            done += part.count
                        }
                    case .hole: break
                    case .end: if let entry { try builder.add(entry) }
                    }
                } catch {
                    throw LayerFormatError(.badArchive, "\(error)")
                }
            }
        }
        return try builder.finish()
    }

    @Test func aLayerThatIsWhatItsImageSaysIsFoundToBe() async throws {
        #expect(try await Self.finding(streamed: Self.archive("right"), image: Self.archive("right")) == nil)
    }

    @Test func contentThatIsNotOfTheArchiveIsFound() async throws {
        let found = try await Self.finding(streamed: Self.archive("wrong"), image: Self.archive("right"))
        #expect(found?.contains("content") == true, "\(found ?? "nothing")")
    }

    @Test func anotherTreeIsFound() async throws {
        let found = try await Self.finding(streamed: Self.archive("a longer text"), image: Self.archive("right"))
        #expect(found?.contains("tree") == true, "\(found ?? "nothing")")
    }

    @Test func anotherDiffIDIsFound() async throws {
        let archive = Self.archive("right")
        let found = try await Self.finding(streamed: archive, image: archive, claimed: Digest.of([1]))
        #expect(found?.contains("the image says") == true, "\(found ?? "nothing")")
    }

    @Test func aRegistryThatFailsIsNoFinding() async throws {
        let archive = Self.archive("right")
        await #expect(throws: RegistryError.self) {
            try await Self.finding(streamed: archive, image: archive) { registry, digest in
                registry.removeBlob(digest)
            }
        }
        // A mirror that returns wrong bytes proves nothing about the layer.
        await #expect(throws: LayerFormatError.self) {
            try await Self.finding(streamed: archive, image: archive) { registry, digest in
                registry.inject(.corrupt, digest: digest)
            }
        }
    }

    @Test(arguments: [
        "", "{}", "[]", #"{"host":"","name":"","manifest":""}"#, #"{"host":"h.x","name":"UP","manifest":"x"}"#,
    ])
    func anOriginThatIsNoneIsNone(_ text: String) {
        #expect(LayerOrigin(Array(text.utf8)) == nil)
    }

    // MARK: - Rebuilding from the store

    /// Returns an archive with directories at both ends, for which an index has no extents. Between them are files of
    /// many sizes.
    private static func large(mode: UInt32 = 0o644) -> [UInt8] {
        let some = (0..<700).map { TarEntry.directory("a\($0)") }
        var files = (0..<200).map { number in
            TarEntry.file("f\(number)", Samples.text(bytes: 1 + number * number * 2, seed: UInt64(number)), mode: mode)
        }
        files[100] = .file("f100", [UInt8](repeating: 0, count: 300_000))
        return TarWriter.archive(some + files + (0..<700).map { TarEntry.directory("z\($0)") })
    }

    private struct Streamed {
        let registry: TestRegistry
        let store: ContentStore
        let layer: StoredLayer
        let origin: LayerOrigin
        let audit: LayerAudit

        /// The number of requested bytes of the blob.
        var asked: Int {
            registry.requests(.blob).filter { $0.path.contains(layer.chunks.blobDigest.hex) }.reduce(0) {
                sum, request in
                guard let range = request.range else { return sum + Int(layer.chunks.blobSize) }
                let ends = range.drop { $0 != "=" }.dropFirst().split(separator: "-").compactMap { Int($0) }
                return ends.count == 2 ? sum + ends[1] - ends[0] + 1 : sum
            }
        }
    }

    /// A configuration whose fill does not wait for readers.
    private static let eager = {
        var configuration = StreamingConfiguration()
        configuration.planner.fillDelay = .zero
        return configuration
    }()

    /// Runs `body` with a layer that was streamed as on a node.
    ///
    /// - Parameters:
    ///   - copy: the blob that is read in place of `blob`. If it is not empty, `index` describes it.
    ///   - packed: the percentage of the layer's chunks that arrive like those of a startup pack.
    private static func withStreamed(
        _ blob: [UInt8], copy: [UInt8] = [], _ index: IndexedLayer, packed: Int = 0,
        _ body: (Streamed) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory(in: "/var/tmp") { directory in
            let workers = NIOThreadPool(numberOfThreads: 2)
            workers.start()
            try await TestRegistry.withRegistry(Behaviour()) { registry in
                let image = registry.addImage(
                    repository: "team/app", layers: [TestLayer(blob, diffID: index.diffID)])
                registry.addBlob(index.windows)
                registry.addBlob(copy)
                let client = RegistryClient(RegistryConfiguration(), logger: logger)
                let store = try ContentStore(root: directory)
                let repository = Repository(host: registry.host, name: "team/app")
                let origin = LayerOrigin(repository: repository, manifest: image.manifestDigest)
                let layer = try store.install(
                    LayerKey(Digest.of(blob), .inherited), index: index.index, origin: try origin.encoded())
                let engine = try StreamingEngine(registry: client, configuration: eager, logger: logger)
                engine.attach(layer, locations: [BlobLocation(repository: repository, digest: layer.digest)])
                if packed > 0 {
                    // Publish files from the archive: the node does not decode a startup pack's chunks from the blob.
                    let whole = try await Self.streamed(blob, index, client, repository)
                    for number in 0..<layer.chunks.chunkCount * packed / 100 {
                        let chunk = layer.chunks.chunk(number)
                        let start = Int(chunk.content.offset)
                        try whole[start..<start + Int(chunk.content.count)].withUnsafeBytes {
                            try layer.publish(number, $0)
                        }
                    }
                }
                engine.fill([layer])
                #expect(await eventually { layer.isComplete })
                await engine.shutdown()
                registry.clearRequests()
                try await body(
                    Streamed(
                        registry: registry, store: store, layer: layer, origin: origin,
                        audit: LayerAudit(registry: client, workers: workers, logger: logger)))
                await client.shutdown()
            }
            try await workers.shutdownGracefully()
        }
    }

    /// Returns all content of a layer.
    private static func streamed(
        _ blob: [UInt8], _ index: IndexedLayer, _ client: RegistryClient, _ repository: Repository
    ) async throws -> [UInt8] {
        let content = Guarded<[UInt8]>([])
        try await withTemporaryDirectory(in: "/var/tmp") { directory in
            let layer = try ContentStore(root: directory).install(
                LayerKey(Digest.of(blob), .inherited), index: index.index)
            let engine = try StreamingEngine(registry: client, configuration: eager, logger: logger)
            engine.attach(layer, locations: [BlobLocation(repository: repository, digest: layer.digest)])
            engine.fill([layer])
            #expect(await eventually { layer.isComplete })
            await engine.shutdown()
            var bytes = [UInt8](repeating: 0, count: Int(layer.chunks.contentSize))
            _ = try bytes.withUnsafeMutableBytes { try layer.read(at: 0, into: $0) }
            content.withLock { [bytes] in $0 = bytes }
        }
        return content.withLock { $0 }
    }

    @Test(arguments: ["gzip", "members", "frames", "raw", "copy"], [0, 20])
    func whatWasDecodedIsNotReadAgain(kind: String, packed: Int) async throws {
        let archive = Self.large()
        var blob: [UInt8]
        switch kind {
        case "gzip": blob = Compressed.gzip(archive)
        case "raw": blob = archive
        default:
            blob = stride(from: 0, to: archive.count, by: 70_000).flatMap {
                Compressed.member(
                    Array(archive[$0..<min($0 + 70_000, archive.count)]), codec: kind == "members" ? .gzip : .zstd)
            }
        }
        var index = try Self.indexed(blob)
        var copy: [UInt8] = []
        if kind == "copy" {
            (copy, blob) = (blob, Compressed.zstd(archive))
            index = try Self.indexed(copy, of: Digest.of(blob))
        }
        try await Self.withStreamed(blob, copy: copy, index, packed: packed) { streamed in
            let blob = copy.isEmpty ? blob : copy
            let gaps = "\(streamed.store.root)/layers/\(streamed.layer.key.id.hex)/gaps"
            #expect(try Sys.exists(gaps))
            #expect(try await streamed.audit.finding(streamed.layer, streamed.origin) == nil)
            #expect(streamed.asked < blob.count * (packed + 20) / 100, "\(streamed.asked)")
            // After damage to the log of gaps, the audit falls back to the blob.
            streamed.registry.clearRequests()
            var bytes = try Sys.readFile(gaps, limit: 1 << 26)
            for index in stride(from: 100, to: bytes.count, by: 200) { bytes[index] ^= 1 }
            try Sys.writeFile(gaps, bytes)
            #expect(try await streamed.audit.finding(streamed.layer, streamed.origin) == nil)
            // The audit reads the image's own blob, even if the layer was streamed from a copy.
            let own = streamed.registry.requests(.blob).filter { $0.path.contains(streamed.layer.digest.hex) }
            #expect(copy.isEmpty ? streamed.asked >= blob.count : own.count == 1 && own[0].range == nil)
            try streamed.store.settleOrigin(of: streamed.layer)
            #expect(try !Sys.exists(gaps) && streamed.layer.gaps?.wants(0) == false)
        }
    }

    @Test func aTreeThatLiesIsFound() async throws {
        let (archive, other) = (Self.large(), Self.large(mode: 0o4755))
        var index = try Self.indexed(archive)
        index.index = try Self.rebound(other, to: Digest.of(archive), size: archive.count, codec: .raw)
        try await Self.withStreamed(archive, index) { streamed in
            let finding = try await streamed.audit.finding(streamed.layer, streamed.origin)
            #expect(finding?.contains("tree") == true, "\(finding ?? "nothing")")
        }
    }
}
