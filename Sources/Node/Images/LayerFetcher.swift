import Artifacts
import Base
import Concurrency
import ContentStore
import LayerFormats
import LayerIndex
import Linux
import Logging
import NIOCore
import NIOPosix
import Registry

/// Gets the layer index of one blob: does the reading for a format's opener, which does none itself.
struct LayerFetcher: Sendable {
    /// The largest answer that is taken for one read of an opener, in bytes: the largest table of contents.
    static let maximumRead = LayerIndexBlob.maximumEncodedSize

    let registry: RegistryClient
    let store: ContentStore
    /// Where blocking work runs: parsing, index building, SQLite and files.
    let workers: NIOThreadPool
    /// One index is built at a time: building takes several times the memory of what it leaves, and the decode is
    /// bound by one core anyway.
    let building: AsyncSemaphore
    let allowUnverifiedTOC: Bool
    /// Whether layers whose indexes artifacts have are audited.
    let isAudited: Bool
    let logger: Logger

    /// Bytes of a blob.
    struct BlobPart: Sendable {
        let bytes: [UInt8]
        let range: ByteRange
    }

    /// The layer, from the store when it is there, else opened over the network: by what lies in the blob itself if the manifest
    /// says that there is something, else by what the image's streaming artifact has for it. With it comes the end of its blob, if
    /// that had to be read.
    func layer(
        _ description: LayerDescription, image: ImageReference, artifact: ArtifactLookup
    ) async throws(FallbackReason) -> (content: StoredLayer, end: BlobPart?) {
        if let content = try await stored(description.digest) {
            try await checkReadable(content, in: image)
            return (content, nil)
        }
        var known: StreamingArtifact.Layer?
        if Self.asksArtifact(of: description) { known = await artifact.layer(description.digest) }
        let (index, end) = try await open(description, image: image, known, artifact)
        var origin: [UInt8]?
        if known != nil, isAudited, let manifest = await artifact.value?.subject.digest {
            origin = try? LayerOrigin(repository: image.repository, manifest: manifest).encoded()
        }
        do {
            let content = try await workers.runIfActive { [store, origin] in
                // A large table of contents has taken several times what is left of it.
                defer { Sys.releaseFreedMemory() }
                return try store.install(description.digest, index, origin: origin)
            }
            return (content, end)
        } catch {
            throw FallbackReason(.storage, "layer \(description.digest): \(error)")
        }
    }

    /// Throws a ``FallbackReason`` for a layer that an audit has refused. Blocks on the disk.
    static func checkNotRefused(_ digest: Digest, _ store: ContentStore) throws {
        guard try store.isRefused(digest) else { return }
        throw FallbackReason(
            .badIndex,
            "layer \(digest) was found not to be what its image says; \(store.root)/refused/\(digest.hex) keeps that "
                + "in mind")
    }

    /// Whether nothing says that the layer can be streamed by itself.
    static func asksArtifact(of description: LayerDescription) -> Bool {
        LayerFormatRegistry.standard.format(of: description) == nil
    }

    /// A layer that is streamed from a copy can be read where the copy is: another image that has the layer may lie elsewhere.
    private func checkReadable(_ content: StoredLayer, in image: ImageReference) async throws(FallbackReason) {
        guard content.chunks.blobDigest != content.digest, !content.isComplete else { return }
        let copy = BlobLocation(repository: image.repository, digest: content.chunks.blobDigest)
        // A registry that cannot say is asked again when something is read.
        guard (try? await registry.hasBlob(copy)) == false else { return }
        throw FallbackReason(
            .notStreamable, "layer \(content.digest) is streamed from a copy, which \(image.repository) does not have")
    }

    /// Whether the layer is not in the store.
    func isMissing(_ digest: Digest) async -> Bool {
        ((try? await workers.runIfActive { [store] in try store.layer(digest) }) ?? nil) == nil
    }

    private func stored(_ digest: Digest) async throws(FallbackReason) -> StoredLayer? {
        do {
            return try await workers.runIfActive { [store] in
                try Self.checkNotRefused(digest, store)
                return try store.layer(digest)
            }
        } catch let reason as FallbackReason {
            throw reason
        } catch {
            throw FallbackReason(.storage, "layer \(digest): \(error)")
        }
    }

    // MARK: - Opening

    /// Makes the layer's index: from `known`, which is what the image's streaming artifact has for the layer, if given.
    private func open(
        _ description: LayerDescription, image: ImageReference, _ known: StreamingArtifact.Layer?,
        _ artifact: ArtifactLookup
    ) async throws(FallbackReason) -> (LayerIndexBytes, BlobPart?) {
        let location = BlobLocation(repository: image.repository, digest: description.digest)
        var description = description
        description.index = known.map { known in
            LayerDescription.Index(
                digest: known.index.digest, diffID: known.diffID,
                source: (known.copy?.digest ?? description.digest, known.copy?.size ?? description.size),
                windows: known.windows?.digest)
        }
        // In a box, so that no step copies what the opener has gathered.
        let opener: Guarded<any LayerOpener>
        do throws(LayerFormatError) {
            let options = LayerOpenOptions(allowUnverifiedTOC: allowUnverifiedTOC)
            opener = Guarded(try LayerFormatRegistry.standard.opener(for: description, options: options))
        } catch {
            throw FallbackReason(error)
        }
        var end: BlobPart?
        // An opener asks at most for a tail, a probe and a table of contents; more is a defect, not a reason to loop.
        for _ in 0..<8 {
            switch try await step(opener, { (opener) throws(LayerFormatError) in try opener.next() }) {
            case .done(let index): return (index, end)
            case .read(let request):
                let (bytes, range, blobSize) = try await read(location, request, knownSize: description.size)
                if case .suffix = request { end = BlobPart(bytes: bytes, range: range) }
                try await step(opener) { (opener) throws(LayerFormatError) in
                    try opener.receive(bytes, range: range, blobSize: blobSize)
                }
            case .readCompanion(let companion):
                let bytes =
                    switch companion {
                    case .externalTOC: try await externalTOC(of: description.digest, image: image)
                    case .index(let digest): try await index(digest, known, in: image.repository, artifact)
                    }
                try await step(opener) { (opener) throws(LayerFormatError) in try opener.receiveCompanion(bytes) }
            }
        }
        throw FallbackReason(.internal, "layer \(description.digest): the opener does not come to an end")
    }

    /// Runs a step of the opener on a worker thread, one layer at a time.
    private func step<Result: Sendable>(
        _ opener: Guarded<any LayerOpener>,
        _ body: @escaping @Sendable (inout any LayerOpener) throws(LayerFormatError) -> Result
    ) async throws(FallbackReason) -> Result {
        do {
            return try await building.withPermit { [workers] in
                try await workers.runIfActive { try opener.withLock { try body(&$0) } }
            }
        } catch let error as LayerFormatError {
            throw FallbackReason(error)
        } catch {
            throw FallbackReason(.internal, "\(error)")
        }
    }

    private func read(
        _ location: BlobLocation, _ request: BlobRequest, knownSize: UInt64
    ) async throws(FallbackReason) -> (bytes: [UInt8], range: ByteRange, blobSize: UInt64) {
        let selection: BlobSelection =
            switch request {
            case .suffix(let count): .suffix(count)
            case .range(let range): .range(range)
            }
        do {
            let stream = try await registry.open(
                location, selection, priority: .demand, knownSize: knownSize > 0 ? knownSize : nil)
            var bytes: [UInt8] = []
            bytes.reserveCapacity(Int(min(stream.range.count, UInt64(Self.maximumRead))))
            for try await buffer in stream {
                guard bytes.count + buffer.readableBytes <= Self.maximumRead else {
                    throw FallbackReason(.limit, "layer \(location.digest): a read of over \(Self.maximumRead) bytes")
                }
                buffer.withUnsafeReadableBytes { bytes.append(contentsOf: $0) }
            }
            return (bytes, stream.range, stream.blobSize)
        } catch let reason as FallbackReason {
            throw reason
        } catch {
            throw FallbackReason(registry: error)
        }
    }

    /// Returns the index that the image's streaming artifact has for the layer, fetched early or now.
    private func index(
        _ digest: Digest, _ known: StreamingArtifact.Layer?, in repository: Repository, _ artifact: ArtifactLookup
    ) async throws(FallbackReason) -> [UInt8] {
        if let early = await artifact.index(digest) { return early }
        guard let known else { throw FallbackReason(.internal, "an index \(digest) without an artifact") }
        do throws(RegistryError) {
            return try await registry.index(of: known, in: repository)
        } catch {
            throw FallbackReason(registry: error)
        }
    }

    /// The table of contents that lies in an image of its own, `<tag>-esgztoc`, named there by the layer's digest.
    ///
    /// The suffix and the annotation are those of stargz-snapshotter's external TOC converter.
    private func externalTOC(of layer: Digest, image: ImageReference) async throws(FallbackReason) -> [UInt8] {
        guard let tag = image.tag else {
            throw FallbackReason(
                .notStreamable, "layer \(layer) has its table of contents beside a tag, and \(image) has no tag")
        }
        let companion = ImageReference(repository: image.repository, tag: tag + "-esgztoc")
        do throws(RegistryError) {
            let manifest = try await registry.resolve(companion, platform: .current).manifest
            let found = manifest.layers.first {
                $0.annotations["containerd.io/snapshot/stargz/layer.digest"] == layer.description
            }
            if let found {
                return try await registry.blob(
                    BlobLocation(repository: image.repository, digest: found.digest), maximumSize: Self.maximumRead)
            }
        } catch {
            throw FallbackReason(registry: error)
        }
        throw FallbackReason(.notStreamable, "\(companion) has no table of contents for layer \(layer)")
    }
}
