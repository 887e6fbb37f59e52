import Artifacts
import Base
import Codecs
import Conversion
import Foundation
import LayerFormats
import LayerIndex
import Linux
import Logging
import NIOPosix
import Registry
import Streaming
import TestRegistry
import TestSupport
import Testing

/// Tests of images that are converted to other formats. An end-to-end test checks that ctr-remote reads such images.
@Suite(.timeLimit(.minutes(1))) struct ReencodingTests {
    private static let logger = Logger.silent
    private static let large = Samples.text(bytes: (2 << 20) + 3, seed: 1)
    private static let lower = TarWriter.archive([
        .directory("bin"), .file("bin/program", Samples.noise(bytes: 100_000, seed: 2)),
        .file("bin/twice", "the old one"), .symlink("bin/link", to: "program"),
        .directory("share"), .file("share/large", large), .hardlink("share/same", to: "share/large"),
        .file("share/empty", ""), .file("bin/twice", "the new one"), attributed(),
        .file(".prefetch.landmark", [0x0f]), .file("stargz.index.json", "{}"),
    ])
    private static let upper = TarWriter.archive([
        .directory("bin"), .file("bin/.wh.link", ""), .file("bin/new", "new"),
    ])

    private static func attributed() -> TarEntry {
        var entry = TarEntry.file("share/attributes", "x", mode: 0o4755)
        (entry.uid, entry.gid) = (1000, 2000)
        entry.xattrs = [("user.bytes", [0, 1, 255]), ("user.text", Array("t".utf8))]
        return entry
    }

    private struct Job {
        let registry: TestRegistry
        let client: RegistryClient
        let scratch: String
        let workers: NIOThreadPool

        var source: Repository { Repository(host: registry.host, name: "team/app") }

        func reencode(
            _ format: ReencodedFormat, _ tag: String, to name: String = "team/app", profile: Profile? = nil
        ) async throws -> [ImageReencoder.Result] {
            let image = try await ImageManifests(ImageReference(repository: source, tag: tag), client)
            let target = Repository(host: registry.host, name: name)
            return try await ImageReencoder(
                registry: client, workers: workers, cores: 2, format: format, scratch: scratch
            ).reencode(
                image, to: ImageReference(repository: target, tag: tag + format.tagSuffix), profile: profile)
        }

        /// Opens the layers of an image as a node does, with their archives.
        func layers(_ manifest: Digest, _ name: String = "team/app") async throws -> [Opened] {
            let repository = Repository(host: registry.host, name: name)
            let manifest = try await client.manifest(repository, digest: manifest)
            var layers: [Opened] = []
            for layer in manifest.layers {
                let bytes = try await client.blob(
                    BlobLocation(repository: repository, digest: layer.digest), maximumSize: 1 << 26)
                layers.append(try Opened(layer, bytes))
            }
            return layers
        }
    }

    private struct Opened {
        let descriptor: Descriptor
        let bytes: [UInt8]
        let tree: TreeImage
        let chunks: ChunkTable
        let archive: [UInt8]

        init(_ layer: Descriptor, _ bytes: [UInt8]) throws {
            descriptor = layer
            self.bytes = bytes
            var opener = try LayerFormatRegistry.standard.opener(
                for: LayerDescription(
                    digest: layer.digest, size: layer.size, mediaType: layer.mediaType, annotations: layer.annotations))
            var index: LayerIndexBytes?
            while index == nil {
                switch try opener.next() {
                case .done(let done): index = done
                case .read:
                    try opener.receive(
                        bytes, range: ByteRange(offset: 0, end: UInt64(bytes.count)), blobSize: UInt64(bytes.count))
                case .readCompanion: throw LayerFormatError(.badResponse, "an external TOC")
                }
            }
            let opened = try #require(index)
            tree = try TreeImage(bytes: opened.tree)
            chunks = try ChunkTable(bytes: opened.chunks)
            archive = try Self.decoded(
                bytes, layer.mediaType.hasSuffix("zstd") ? .zstd : .gzip, from: 0, count: 1 << 26)
        }

        func contents(_ path: String) throws -> [UInt8]? {
            var inode = tree.rootInode
            for name in path.split(separator: "/") {
                let found = try Array(name.utf8).withUnsafeBytes { try tree.lookup(inode, $0) }
                guard let found else { return nil }
                inode = found
            }
            guard let content = try tree.content(inode) else { return [] }
            var result: [UInt8] = []
            for number in chunks.chunks(overlapping: content.range) {
                let chunk = chunks.chunk(number)
                let extent = chunks.extent(chunk.extent)
                let part = try Self.decoded(
                    bytes, extent.codec == .zstd ? .zstd : .gzip, from: Int(extent.blob.offset),
                    count: Int(chunk.innerOffset + chunk.content.count))
                let piece = Array(part[Int(chunk.innerOffset)...])
                guard Digest.of(piece) == chunk.digest else { return nil }
                result += piece
            }
            return result
        }

        private static func decoded(_ bytes: [UInt8], _ codec: Codec, from offset: Int, count: Int) throws -> [UInt8] {
            let decoder = ExtentDecoder()
            decoder.reset(codec)
            var output = [UInt8](repeating: 0, count: count)
            var (consumed, produced) = (offset, 0)
            while produced < count {
                let step = try output.withUnsafeMutableBytes { output in
                    try bytes.withUnsafeBytes { input in
                        try decoder.decode(
                            UnsafeRawBufferPointer(rebasing: input[consumed...]),
                            into: UnsafeMutableRawBufferPointer(rebasing: output[produced...]))
                    }
                }
                guard step.consumed > 0 || step.produced > 0 else { break }
                consumed += step.consumed
                produced += step.produced
            }
            return Array(output[..<produced])
        }
    }

    private static func withImage(_ body: (Job) async throws -> Void) async throws {
        try await withTemporaryDirectory { scratch in
            try await TestRegistry.withRegistry(Behaviour()) { registry in
                let workers = NIOThreadPool(numberOfThreads: 2)
                workers.start()
                let client = RegistryClient(RegistryConfiguration(), logger: logger)
                let diffIDs = [lower, upper].map { "\"\(Digest.of($0))\"" }.joined(separator: ",")
                let config = """
                    {"architecture":"amd64","os":"linux","config":{"Env":["A=1"],"Labels":{"n":"1.50"}},"big":9007199254740993,
                    "rootfs":{"type":"layers","diff_ids":[\(diffIDs)]},"history":[{"created_by":"x"}]}
                    """
                registry.addImage(
                    repository: "team/app", tag: "1",
                    layers: [
                        TestLayer(Compressed.gzip(lower), diffID: Digest.of(lower)),
                        TestLayer(
                            Compressed.zstd(upper), mediaType: "application/vnd.oci.image.layer.v1.tar+zstd",
                            diffID: Digest.of(upper)),
                    ], config: Array(config.utf8), annotations: ["org.example": "kept"])
                let result: Result<Void, any Error>
                do {
                    try await body(Job(registry: registry, client: client, scratch: scratch, workers: workers))
                    result = .success(())
                } catch {
                    result = .failure(error)
                }
                await client.shutdown()
                try? await workers.shutdownGracefully()
                try result.get()
            }
            #expect(try Sys.list(scratch).isEmpty, "nothing is left behind")
        }
    }

    @Test("preserves every file", arguments: ReencodedFormat.allCases)
    func preservesEveryFile(format: ReencodedFormat) async throws {
        try await Self.withImage { job in
            let results = try await job.reencode(format, "1")
            let result = try #require(results.first)
            let layers = try await job.layers(result.digest)
            #expect(layers.count == 2 && result.size == layers.reduce(0) { $0 + UInt64($1.bytes.count) })
            #expect(try layers[0].contents("bin/program") == Samples.noise(bytes: 100_000, seed: 2))
            #expect(try layers[0].contents("share/large") == Self.large)
            #expect(try layers[0].contents("share/same") == Self.large)
            #expect(try layers[0].contents("share/empty") == [])
            #expect(try layers[0].contents("bin/twice") == Array("the new one".utf8))
            #expect(try layers[0].contents(".no.prefetch.landmark") == nil)
            #expect(try layers[1].contents("bin/new") == Array("new".utf8))
            #expect(layers[0].chunks.prefetch == .nothing)
            // Tools that do not support the format unpack the layer like any other.
            let indexer = LayerIndexer(blobDigest: layers[0].descriptor.digest, blobSize: layers[0].descriptor.size)
            try layers[0].bytes.withUnsafeBytes { try indexer.push($0) }
            let unpacked = try indexer.finish()
            #expect(unpacked.diffID == Digest.of(layers[0].archive))
            let size = layers[0].descriptor.annotations["io.containers.estargz.uncompressed-size"]
            #expect(size == "\(layers[0].archive.count)")

            let manifest = try await job.client.manifest(job.source, digest: result.digest)
            let bytes = try await job.client.blob(
                BlobLocation(repository: job.source, digest: manifest.config.digest), maximumSize: 1 << 20)
            let config = try ImageConfiguration(bytes: bytes)
            #expect(config.diffIDs == layers.map { Digest.of($0.archive) })
            let text = String(decoding: bytes, as: UTF8.self)
            #expect(text.contains("9007199254740993") && text.contains("\"A=1\"") && text.contains("\"1.50\""))
            #expect(manifest.annotations["org.example"] == "kept" && manifest.subject?.digest == result.source)
            #expect(manifest.annotations["io.rivulet.reencoded.source"] == "\(job.source)@\(result.source)")
            let tag = try await job.client.document(
                ImageReference(repository: job.source, tag: "1" + format.tagSuffix))
            #expect(tag.digest == result.digest)
            let referrers = try await job.client.referrers(job.source, of: result.source)
            #expect(referrers.map(\.digest) == [result.digest])

            // The same image gives the same bytes.
            #expect(try await job.reencode(format, "1").map(\.digest) == [result.digest])
        }
    }

    @Test("moves a start's files to the front", arguments: ReencodedFormat.allCases)
    func movesStartsFilesToFront(format: ReencodedFormat) async throws {
        try await Self.withImage { job in
            let names = ["share/same", "bin/new", "bin/gone", "bin/twice", "share/same"]
            let profile = Profile(
                entries: names.map {
                    Profile.Entry(path: Array($0.utf8), range: ByteRange(offset: 0, end: 10), milliseconds: 0)
                })
            let result = try #require(try await job.reencode(format, "1", profile: profile).first)
            let layers = try await job.layers(result.digest)
            let reader = Guarded<[String]>([])
            var tar = TarReader()
            try layers[0].archive.withUnsafeBytes { bytes in
                try tar.push(bytes) { event, _ in
                    guard case .entry(let entry, _) = event else { return }
                    reader.withLock { $0.append(String(decoding: entry.path, as: UTF8.self)) }
                }
            }
            let order = reader.withLock { $0.map { $0.hasSuffix("/") ? String($0.dropLast()) : $0 } }
            #expect(
                order.prefix(6) == ["share", "share/large", "share/same", "bin", "bin/twice", ".prefetch.landmark"])
            #expect(Set(order).count == order.count && order.contains("bin/program"))
            let landmark = try #require(try layers[0].contents("share/large"))
            #expect(landmark == Self.large)
            guard case .blobPrefix(let end) = layers[0].chunks.prefetch else {
                Issue.record("nothing is marked")
                return
            }
            #expect(end > 0 && end < layers[0].descriptor.size)
            #expect(layers[1].chunks.prefetch != .nothing, "bin/new is there")
        }
    }

    @Test("an index stays an index") func indexStaysIndex() async throws {
        try await Self.withImage { job in
            let archive = TarWriter.archive([.file("text", Samples.text(bytes: 100_000, seed: 5))])
            let layer = TestLayer(Compressed.gzip(archive), diffID: Digest.of(archive))
            let images = ["a", "b"].map {
                job.registry.addImage(
                    repository: "team/app", tag: $0, layers: [layer], annotations: ["platform": $0]
                ).manifestDigest
            }
            job.registry.addIndex(
                repository: "team/app", tag: "both",
                manifests: [(images[0], "linux/amd64"), (images[1], "linux/arm64/v8"), (images[0], "unknown/unknown")])
            let results = try await job.reencode(.estargz, "both", to: "other/app")
            #expect(results.map(\.source) == images)
            let target = Repository(host: job.registry.host, name: "other/app")
            guard
                case .index(let index) = try await job.client.document(
                    ImageReference(repository: target, tag: "both-esgz"))
            else {
                Issue.record("no index")
                return
            }
            #expect(index.manifests.map(\.digest) == results.map(\.digest))
            #expect(index.manifests.map { "\($0.platform?.description ?? "")" } == ["linux/amd64", "linux/arm64/v8"])
            // A manifest in another repository cannot refer to the original.
            let manifest = try await job.client.manifest(target, digest: results[0].digest)
            #expect(manifest.subject == nil)
            #expect(try await job.layers(results[0].digest, "other/app").count == 1)
        }
    }

    @Test("rejects names and link targets that are not UTF-8", arguments: [false, true])
    func rejectsNamesThatAreNotUTF8(isTarget: Bool) async throws {
        try await Self.withImage { job in
            var entry = TarEntry(isTarget ? .symlink : .regular, isTarget ? [0x61] : [0x61, 0xff], mode: 0o644)
            if isTarget { entry.linkTarget = [0x61, 0xff] }
            let archive = TarWriter.archive([entry])
            job.registry.addImage(
                repository: "team/app", tag: "bytes",
                layers: [TestLayer(Compressed.gzip(archive), diffID: Digest.of(archive))])
            let error = await #expect(throws: ArtifactError.self) { try await job.reencode(.estargz, "bytes") }
            #expect(error?.code == .unsupportedMediaType && "\(error.map { "\($0)" } ?? "")".contains("UTF-8"))
        }
    }

    @Test("names a missing scratch directory") func namesMissingScratchDirectory() async throws {
        try await Self.withImage { job in
            let elsewhere = Job(
                registry: job.registry, client: job.client, scratch: job.scratch + "/gone", workers: job.workers)
            let error = await #expect(throws: ArtifactError.self) { try await elsewhere.reencode(.estargz, "1") }
            #expect("\(error.map { "\($0)" } ?? "")".contains("/gone"))
        }
    }

    @Test("rejects another archive than the image names") func rejectsAnotherArchiveThanImageNames() async throws {
        try await Self.withImage { job in
            job.registry.addImage(
                repository: "team/app", tag: "lie",
                layers: [TestLayer(Compressed.gzip(Self.upper), diffID: Digest.of(Self.lower))])
            let error = await #expect(throws: ArtifactError.self) { try await job.reencode(.estargz, "lie") }
            #expect(error?.code == .badLayer)
        }
    }
}
