import Base
import Codecs
import ContentStore
import Images
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

@Suite(.timeLimit(.minutes(1))) struct LayerVerificationTests {
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

    /// Returns the outcome of a verification. The layer's index and content come from `streamed`; the blob contains
    /// `image`.
    private static func outcome(
        streamed: [UInt8], image: [UInt8], zeros: Bool = false,
        _ change: (TestRegistry, Digest) -> Void = { _, _ in }
    ) async throws -> LayerVerification.Outcome? {
        let result = Guarded<LayerVerification.Outcome?>(nil)
        try await withTemporaryDirectory(in: "/var/tmp") { directory in
            let pool = NIOThreadPool(numberOfThreads: 2)
            pool.start()
            try await TestRegistry.withRegistry(Behaviour()) { registry in
                let blob = Compressed.gzip(image)
                registry.addImage(repository: "team/app", layers: [TestLayer(blob, diffID: Digest.of(image))])
                let digest = Digest.of(blob)
                let client = RegistryClient(RegistryConfiguration(), logger: logger)
                // The index of another archive, which claims to be of this blob.
                var index = try indexed(Compressed.gzip(streamed)).index
                if streamed != image { index = try rebound(streamed, to: digest, size: blob.count) }
                let store = try ContentStore(root: directory)
                let key = LayerKey(digest, .index(Digest.of([1]), repository: "r"))
                let layer = try store.install(key, index: index)
                try fill(layer, from: streamed)
                #expect(layer.isComplete)
                change(registry, digest)
                let verification = LayerVerification(
                    source: BlobSource(
                        registry: client, repositories: [Repository(host: registry.host, name: "team/app")]),
                    threads: BackgroundThreads(pool: pool), logger: logger)
                let found = try await verification.outcome(of: layer) { $0 == Digest.of(image) }
                result.withLock { $0 = found }
                await client.shutdown()
            }
            try await pool.shutdownGracefully()
        }
        return result.withLock { $0 }
    }

    private static func difference(_ outcome: LayerVerification.Outcome?) -> String? {
        if case .refused(let difference) = outcome { difference } else { nil }
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

    @Test("a layer whose index describes its archive is verified") func verifiesRightLayer() async throws {
        let archive = Self.archive("right")
        #expect(
            try await Self.outcome(streamed: archive, image: archive) == .verified(diffID: Digest.of(archive)))
    }

    @Test("other content is refused") func refusesOtherContent() async throws {
        let found = Self.difference(
            try await Self.outcome(streamed: Self.archive("wrong"), image: Self.archive("right")))
        #expect(found == "/dir/small has other content", "\(found ?? "nothing")")
    }

    @Test("another tree is refused") func refusesOtherTree() async throws {
        let found = Self.difference(
            try await Self.outcome(streamed: Self.archive("a longer text"), image: Self.archive("right")))
        #expect(found == "/dir/small has 13 bytes, not 5", "\(found ?? "nothing")")
    }

    @Test("a registry that fails or lies decides nothing") func decidesNothingWithoutBlob() async throws {
        let (archive, other) = (Self.archive("right"), Self.archive("wrong"))
        await #expect(throws: RegistryError.self) {
            try await Self.outcome(streamed: other, image: archive) { registry, digest in
                registry.removeBlob(digest)
            }
        }
        // A mirror that returns wrong bytes proves nothing about the layer.
        await #expect(throws: LayerFormatError.self) {
            try await Self.outcome(streamed: other, image: archive) { registry, digest in
                registry.inject(.corrupt, digest: digest)
            }
        }
    }

    @Test("an archive that nobody can compare with its index decides nothing, for ever")
    func knowsUndecidableArchive() async throws {
        let archive = Self.archive("right")
        // GNU tar's old header of a sparse file. The sum of the header's bytes is in eight of them.
        var odd = TarWriter.header(.file("odd", ""))
        odd[156] = UInt8(ascii: "S")
        odd.replaceSubrange(148..<156, with: Array("        ".utf8))
        let sum = String(odd.reduce(0) { $0 + Int($1) }, radix: 8)
        odd.replaceSubrange(148..<154, with: Array((String(repeating: "0", count: 6 - sum.count) + sum).utf8))
        odd[154] = 0
        let outcome = try await Self.outcome(streamed: archive, image: odd + archive)
        guard case .undecidable(let reason) = outcome else {
            Issue.record("\(outcome as Any)")
            return
        }
        #expect(reason.contains("GNU tar's old format"))
    }

    @Test("a blob that decodes to far more than its index is not decoded to its end") func boundsDecodedBytes()
        async throws
    {
        let archive = Self.archive("right")
        let bomb = archive + [UInt8](repeating: 0, count: 80 << 20)
        guard case .undecidable(let reason) = try await Self.outcome(streamed: archive, image: bomb) else {
            Issue.record("not found")
            return
        }
        #expect(reason.contains("far more than its index"))
    }

    @Test("a mark of zeros on other bytes is refused when the index is installed")
    func refusesFalseZeros() throws {
        try withTemporaryDirectory(in: "/var/tmp") { directory in
            var builder = LayerIndexBuilder(blobDigest: Digest.of([1]), blobSize: 100)
            var entry = LayerEntry(path: Array("f".utf8))
            entry.attributes.size = 5
            entry.pieces = [
                ContentPiece(
                    fileOffset: 0, length: 5, digest: Digest.of(Array("right".utf8)), extent: 0, innerOffset: 0,
                    isZeros: true)
            ]
            try builder.add(entry)
            let index = try builder.finish()
            let store = try ContentStore(root: directory)
            let error = #expect(throws: ContentStoreError.self) {
                try store.install(LayerKey(Digest.of([1]), .inherited), index: index)
            }
            #expect(error?.code == .badIndex)
        }
    }

    @Test("two files of one size that changed places are refused") func refusesMovedContent() async throws {
        func archive(_ first: String, _ second: String) -> [UInt8] {
            // Many directories keep the files' inodes out of the block that the superblock's checksum covers.
            TarWriter.archive(
                (0..<300).map { .directory("a\($0)") } + [.directory("dir")]
                    + [.file("dir/small", first), .file("dir/other", second)])
        }
        let image = archive("right", "wrong")
        try await Self.withStreamed(image, try Self.indexed(image)) { streamed in
            // The same chunks, extents and places; only the tree gives each file the other's content.
            let moved = try Self.swapped(streamed.layer, "dir/small", "dir/other")
            let check = ArchiveCheck(tree: moved, chunks: streamed.layer.chunks, isFromTable: false)
            try image.withUnsafeBytes { try check.push($0) }
            let finding = try check.finish()
            #expect(finding.diffID == Digest.of(image))
            #expect(finding.difference == "/dir/other has other content", "\(finding)")
        }
    }

    /// Returns the layer's tree with the content of two files exchanged.
    private static func swapped(_ layer: StoredLayer, _ first: String, _ second: String) throws -> TreeImage {
        var finder = EntryFinder(layer.tree)
        let inodes = try [first, second].map { try #require(try finder.inode(of: Array($0.utf8))) }
        let blocks = try inodes.map { try #require(try layer.tree.content($0)).range.offset / 4096 }
        var bytes = try Sys.readFile(layer.contentPath.dropLast("content".count) + "tree.erofs", limit: 1 << 24)
        // A file's only chunk index ends with the number of its first block (EROFS, `erofs_inode_chunk_index`).
        let size = try bytes.withUnsafeBytes { bytes in
            try inodes.map { inode in
                let start = Int(inode) * 32
                let isCompact = try #require(bytes.littleEndian(UInt16.self, at: start)) & 1 == 0
                return start + (isCompact ? 32 : 64)
            }
        }
        for (place, block) in zip(size, blocks.reversed()) {
            for byte in 0..<4 { bytes[place + 4 + byte] = UInt8(truncatingIfNeeded: block >> UInt64(8 * byte)) }
        }
        return try TreeImage(bytes: bytes)
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

    private static let largeArchive = large()

    private struct Streamed {
        let registry: TestRegistry
        let store: ContentStore
        let layer: StoredLayer
        let verification: LayerVerification

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
                registry.addImage(repository: "team/app", layers: [TestLayer(blob, diffID: index.diffID)])
                registry.addBlob(index.windows)
                registry.addBlob(copy)
                let client = RegistryClient(RegistryConfiguration(), logger: logger)
                let store = try ContentStore(root: directory)
                let repository = Repository(host: registry.host, name: "team/app")
                let layer = try store.install(
                    LayerKey(Digest.of(blob), .index(Digest.of([1]), repository: "r")), index: index.index)
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
                        registry: registry, store: store, layer: layer,
                        verification: LayerVerification(
                            source: BlobSource(registry: client, repositories: [repository]),
                            threads: BackgroundThreads(pool: workers), logger: logger)))
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

    @Test(
        "decoded bytes are not read again",
        arguments: [("gzip", 0), ("gzip", 20), ("members", 0), ("frames", 0), ("raw", 20), ("copy", 0)])
    func readsDecodedBytesOnce(kind: String, packed: Int) async throws {
        let archive = Self.largeArchive
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
            let diffID = index.diffID
            let outcome = try await streamed.verification.outcome(of: streamed.layer) { $0 == diffID }
            #expect(outcome == .verified(diffID: diffID))
            #expect(streamed.asked < blob.count * (packed + 10) / 100, "\(streamed.asked) of \(blob.count)")
            // After damage to the log of gaps, the verification falls back to the blob.
            streamed.registry.clearRequests()
            var bytes = try Sys.readFile(gaps, limit: 1 << 26)
            for index in stride(from: 100, to: bytes.count, by: 200) { bytes[index] ^= 1 }
            try Sys.writeFile(gaps, bytes)
            #expect(
                try await streamed.verification.outcome(of: streamed.layer) { $0 == diffID }
                    == .verified(diffID: diffID))
            // It reads the image's own blob, even if the layer was streamed from a copy.
            let own = streamed.registry.requests(.blob).filter { $0.path.contains(streamed.layer.digest.hex) }
            #expect(copy.isEmpty ? streamed.asked >= blob.count : own.count == 1 && own[0].range == nil)
            // So it does if no image states the diff ID: only the blob's digest can tell.
            streamed.registry.clearRequests()
            #expect(
                try await streamed.verification.outcome(of: streamed.layer) { _ in false }
                    == .verified(diffID: diffID))
            #expect(streamed.registry.requests(.blob).contains { $0.path.contains(streamed.layer.digest.hex) })
            try streamed.store.markVerified(streamed.layer, diffID: diffID)
            #expect(try !Sys.exists(gaps) && streamed.layer.gaps?.wants(0) == false)
            #expect(streamed.layer.verifiedDiffID == diffID)
        }
    }

    @Test("a tree with other modes is refused") func refusesOtherModes() async throws {
        let (archive, other) = (Self.largeArchive, Self.large(mode: 0o4755))
        var index = try Self.indexed(archive)
        index.index = try Self.rebound(other, to: Digest.of(archive), size: archive.count, codec: .raw)
        try await Self.withStreamed(archive, index) { streamed in
            let finding = Self.difference(try await streamed.verification.outcome(of: streamed.layer) { _ in true })
            #expect(finding?.contains("has the mode 104755, not 100644") == true, "\(finding ?? "nothing")")
        }
    }
}
