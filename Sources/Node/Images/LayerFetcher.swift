import Artifacts
import Base
import Concurrency
import ContentStore
import LayerFormats
import LayerIndex
import Linux
import NIOCore
import NIOPosix
import NodeDatabase
import Registry

/// The fetcher of individual layers. It reads a layer's index (the file tree and the chunk table) from its source,
/// checks the index, and installs it in the store.
struct LayerFetcher: Sendable {
    /// The source from which the fetcher opens a layer.
    enum Source: Sendable {
        /// The store: the layer is installed already.
        case store(StoredLayer)
        /// The layer's blob. The fetcher builds the index from the table of contents in the blob, or in a companion
        /// image if the layer's format keeps it there.
        case blob
        /// The image's streaming artifact, whose entry for the layer names the layer's index. `index` is the index
        /// itself, if it was fetched early.
        case artifact(StreamingArtifact.Layer, index: [UInt8]?)
    }

    /// The maximum size of one read for opening a layer, in bytes. The largest of these reads returns the table of
    /// contents.
    static let maximumRead = LayerIndexBlob.maximumEncodedSize

    let registry: RegistryClient
    let store: ContentStore
    let records: ChainRecords
    /// The threads for blocking work: parsing, index building, SQLite and files.
    let workers: NIOThreadPool
    /// The bounds of memory and time. Building takes several times the memory of the result.
    let bounds: OpeningBounds
    let formats: LayerFormatRegistry
    let allowsUnverifiedTOC: Bool

    /// Returns a stored layer that matches `query` and that images of `repository` may use. Skips layers that their
    /// verification has refused. Returns `nil` if no layer is left.
    ///
    /// Throws if the store fails.
    func stored(
        _ query: ImageOpening.StoreQuery, in repository: Repository
    ) async throws(FallbackReason) -> StoredLayer? {
        do {
            let found = try await workers.runIfActive { [store] () throws -> StoredLayer? in
                let keys: [LayerKey]
                switch query {
                case .pinned(let key): keys = [key]
                case .anyOfRepository(let blob): keys = store.keys(ofBlob: blob).filter { $0.isOf(repository) }
                case .verified(let blob, let diffID):
                    return try Self.verified(blob, in: store) { $0.verifiedDiffID == diffID }
                }
                for key in keys where try !store.isRefused(key) {
                    if let layer = try store.layer(key) { return layer }
                }
                return nil
            }
            guard case .verified = query, let found else { return found }
            return try await mayShare(found, repository) ? found : nil
        } catch {
            throw FallbackReason(.storage, "\(query): \(error)")
        }
    }

    /// Returns true if the store has a verified layer of this blob that images of other repositories may share.
    func hasVerified(_ blob: Digest) async throws(FallbackReason) -> Bool {
        do {
            return try await workers.runIfActive { [store] in try Self.verified(blob, in: store) { _ in true } != nil }
        } catch {
            throw FallbackReason(.storage, "\(blob): \(error)")
        }
    }

    /// Returns a verified layer of the blob that images of all repositories may share. Blocks on the disk.
    ///
    /// Its index comes from a streaming artifact, because a table of contents may lack entries of the archive. The
    /// layer is streamed from its own blob, because another repository need not have the copy.
    private static func verified(
        _ blob: Digest, in store: ContentStore, where isRight: (StoredLayer) -> Bool
    ) throws -> StoredLayer? {
        for key in store.keys(ofBlob: blob) {
            guard case .index = key.pin, try !store.isRefused(key), let layer = try store.layer(key),
                layer.verifiedDiffID != nil, layer.chunks.blobDigest == blob, isRight(layer)
            else { continue }
            return layer
        }
        return nil
    }

    /// Returns true if the repository may read a verified layer of another repository.
    private func mayShare(_ layer: StoredLayer, _ repository: Repository) async throws -> Bool {
        let known = try await workers.runIfActive { [records] in try records.repositories(of: layer.key) }
        if known.contains(repository) { return true }
        do throws(FallbackReason) {
            try await BlobPossession(registry: registry, workers: workers).check(layer, in: repository)
            return true
        } catch {
            // The repository may have a streaming artifact of its own.
            return false
        }
    }

    /// An opened layer.
    struct Opened: Sendable {
        let content: StoredLayer
        /// The end of the blob, where some formats have their table of contents; `nil` if the end was not read.
        let tail: BlobPart?
        /// The memory in bytes that the layer takes while its chain is merged.
        let mergeMemory: UInt64
    }

    /// Opens a layer from `source`.
    ///
    /// - Parameter turns: the turns of the image's layers to be built.
    func open(
        _ description: LayerDescription, of image: ImageReference, from source: Source, turns: ImageTurns
    ) async throws(FallbackReason) -> Opened {
        let (content, tail) = try await content(description, of: image, from: source, turns: turns)
        do {
            let memory = try await workers.runIfActive { [bounds] in try bounds.mergeMemory(of: [content.tree]) }
            return Opened(content: content, tail: tail, mergeMemory: memory)
        } catch {
            let isLimit = (error as? LayerIndexError).map { $0.code == .limit || $0.code == .deadline } ?? false
            throw FallbackReason(isLimit ? .limit : .storage, "layer \(content.key): \(error)")
        }
    }

    private func content(
        _ description: LayerDescription, of image: ImageReference, from source: Source, turns: ImageTurns
    ) async throws(FallbackReason) -> (StoredLayer, BlobPart?) {
        switch source {
        case .store(let content):
            try await checkRights(content, in: image.repository)
            try await checkReadable(content, in: image)
            return (content, nil)
        case .blob:
            let key =
                LayerKey(description, formats)
                ?? LayerKey(description.digest, .unverified(repository: "\(image.repository)"))
            try await checkNotRefused(key)
            let built = try await readIndex(description, of: image, turns: turns)
            return (try await install(key, built), built.tail)
        case .artifact(let layer, let early):
            let key = LayerKey(
                description.digest, .index(layer.index.digest, repository: "\(image.repository)"))
            try await checkNotRefused(key)
            var description = description
            description.index = LayerDescription.Index(
                digest: layer.index.digest, diffID: layer.diffID,
                source: (layer.copy?.digest ?? description.digest, layer.copy?.size ?? description.size),
                windows: layer.windows?.digest)
            let built = try await readIndex(
                description, of: image, turns: turns, artifact: layer, early: early)
            return (try await install(key, built), built.tail)
        }
    }

    /// Stores an index. Gives its memory back afterwards.
    private func install(_ key: LayerKey, _ built: BuiltIndex) async throws(FallbackReason) -> StoredLayer {
        defer { built.memory.release() }
        do {
            return try await workers.runIfActive { [store] in
                // Parsing a large table of contents takes several times the memory of the index.
                defer { Sys.releaseFreedMemory() }
                return try store.install(key, index: built.index)
            }
        } catch {
            throw FallbackReason(.storage, "layer \(key): \(error)")
        }
    }

    /// Throws a ``FallbackReason`` for a layer that its verification has refused. Blocks on the disk.
    static func checkNotRefused(_ key: LayerKey, _ store: ContentStore) throws {
        guard try store.isRefused(key) else { return }
        throw FallbackReason(
            .badIndex,
            "layer \(key) is not what its blob contains; \(store.refusal(of: key)) records that")
    }

    private func checkNotRefused(_ key: LayerKey) async throws(FallbackReason) {
        do {
            try await workers.runIfActive { [store] in try Self.checkNotRefused(key, store) }
        } catch let reason as FallbackReason {
            throw reason
        } catch {
            throw FallbackReason(.storage, "layer \(key): \(error)")
        }
    }

    /// Checks that the layer's missing content can be fetched. Throws if the layer is streamed from a copy of its blob,
    /// and the registry states that the image's repository lacks this copy. A complete layer always passes.
    private func checkReadable(_ content: StoredLayer, in image: ImageReference) async throws(FallbackReason) {
        guard content.chunks.blobDigest != content.digest, !content.isComplete else { return }
        let copy = BlobLocation(repository: image.repository, digest: content.chunks.blobDigest)
        // If the registry cannot answer now, the first read of the layer asks the registry again.
        guard (try? await registry.hasBlob(copy)) == false else { return }
        throw FallbackReason(
            .notStreamable, "layer \(content.digest) is streamed from a copy that \(image.repository) does not have")
    }

    /// Throws unless the repository may read a stored layer, because a chain of its images has the layer already, or
    /// because the repository holds the blob.
    private func checkRights(_ content: StoredLayer, in repository: Repository) async throws(FallbackReason) {
        // A layer with another pin is the repository's own, or `stored` has checked the repository's rights.
        guard case .tableOfContents = content.key.pin else { return }
        let known: [Repository]
        do {
            known = try await workers.runIfActive { [records] in try records.repositories(of: content.key) }
        } catch {
            throw FallbackReason(.storage, "layer \(content.key): \(error)")
        }
        guard !known.contains(repository) else { return }
        try await BlobPossession(registry: registry, workers: workers).check(content, in: repository)
    }

    // MARK: - Reading

    /// The index of a layer, which is in memory.
    private struct BuiltIndex: Sendable {
        let index: LayerIndexBytes
        /// The end of the blob, if the opener requested it.
        let tail: BlobPart?
        let memory: OpeningBudget.Reservation
    }

    /// Creates the layer's index with the ``LayerOpener`` of the layer's format. The opener does no I/O, so this
    /// function performs the reads that the opener requests.
    ///
    /// - Parameters:
    ///   - turns: the turns of the image's layers to be built.
    ///   - artifact: the layer's entry in the image's streaming artifact; `nil` if the index does not come from an
    ///     artifact.
    ///   - early: the bytes of the index from the artifact; `nil` if they were not fetched early.
    private func readIndex(
        _ description: LayerDescription, of image: ImageReference, turns: ImageTurns,
        artifact: StreamingArtifact.Layer? = nil, early: [UInt8]? = nil
    ) async throws(FallbackReason) -> BuiltIndex {
        let location = BlobLocation(repository: image.repository, digest: description.digest)
        // A box, so that no step copies the bytes that the opener has received.
        let opener: Guarded<any LayerOpener>
        do throws(LayerFormatError) {
            let options = LayerOpenOptions(allowUnverifiedTOC: allowsUnverifiedTOC)
            opener = Guarded(try formats.opener(for: description, options: options))
        } catch {
            throw FallbackReason(error)
        }
        var end: BlobPart?
        // The memory for bytes that arrive, until they are a part of the memory for building.
        var input: OpeningBudget.Reservation?
        // An opener requests at most the end of the blob, a probe and a table of contents. More requests are a defect.
        for _ in 0..<8 {
            if let need = opener.withLock({ $0.memory }) {
                let (index, memory) = try await build(
                    opener, of: description.digest, need: need, input: input, turns: turns)
                return BuiltIndex(index: index, tail: end, memory: memory)
            }
            switch try await step(opener, { (opener) throws(LayerFormatError) in try opener.next() }) {
            case .done(let index):
                // A format that creates its index as the bytes arrive.
                let size = UInt64(index.tree.count) + UInt64(index.chunks.count)
                let memory = try await bounds.memory.reserve(
                    least: size, most: size, for: .building, of: "layer \(description.digest)")
                return BuiltIndex(index: index, tail: end, memory: memory)
            case .read(let request):
                // Who waits for memory for reading must not hold any.
                input?.release()
                if case .range(let range) = request { input = try await reserve(range.count, for: description.digest) }
                let (bytes, range, blobSize) = try await inTime(of: description.digest) {
                    try await read(location, request: request, knownSize: description.size)
                }
                if case .suffix = request { end = BlobPart(bytes: bytes, range: range) }
                try await step(opener) { (opener) throws(LayerFormatError) in
                    try opener.receive(bytes, range: range, blobSize: blobSize)
                }
            case .readCompanion(let companion):
                input?.release()
                let bytes: [UInt8]
                switch companion {
                case .externalTOC:
                    let found = try await externalTOC(of: description.digest, image: image)
                    input = try await reserve(found.size, for: description.digest)
                    bytes = try await inTime(of: description.digest) { try await blob(found, in: image.repository) }
                case .index(let digest):
                    // Early indexes, and those in a manifest, are small.
                    if early == nil, let artifact, artifact.indexBytes == nil {
                        input = try await reserve(artifact.index.size, for: description.digest)
                    }
                    bytes = try await inTime(of: description.digest) {
                        try await index(digest, artifact: artifact, early: early, in: image.repository)
                    }
                }
                try await step(opener) { (opener) throws(LayerFormatError) in try opener.receiveCompanion(bytes) }
            }
        }
        throw FallbackReason(.internal, "layer \(description.digest): the opener does not end")
    }

    /// Runs `body`, which reads from a registry, for at most ``OpeningBounds/readLimit``. A registry that sends drop by
    /// drop must not hold the memory for reading, on which other images and their containers wait.
    private func inTime<Value: Sendable>(
        of layer: Digest, _ body: @escaping @Sendable () async throws -> Value
    ) async throws(FallbackReason) -> Value {
        do {
            return try await withTimeout(bounds.readLimit, clock: bounds.clock, body)
        } catch let reason as FallbackReason {
            throw reason
        } catch is TimeoutError {
            throw FallbackReason(
                .timeout, "layer \(layer): the registry takes over \(bounds.readLimit) to send the index")
        } catch {
            throw FallbackReason(.registry, "layer \(layer): \(error)")
        }
    }

    /// Reserves memory for bytes that a registry sends.
    private func reserve(_ count: UInt64, for layer: Digest) async throws(FallbackReason) -> OpeningBudget.Reservation {
        guard count <= UInt64(Self.maximumRead) else {
            throw FallbackReason(.limit, "layer \(layer): a read of \(count) bytes")
        }
        return try await bounds.memory.reserve(least: count, most: count, for: .reading, of: "layer \(layer)")
    }

    /// Runs the last step of the layer's opener, which creates the index.
    ///
    /// - Parameter input: the memory of the received bytes. It is released as soon as there is memory for building,
    ///   which includes them.
    private func build(
        _ opener: Guarded<any LayerOpener>, of layer: Digest, need: OpeningMemory,
        input: OpeningBudget.Reservation?, turns: ImageTurns
    ) async throws(FallbackReason) -> (LayerIndexBytes, OpeningBudget.Reservation) {
        let (step, memory): (OpenStep, OpeningBudget.Reservation)
        do {
            (step, memory) = try await turns.withTurn { [workers, bounds] in
                let memory = try await bounds.memory.reserve(
                    least: need.least, most: need.most, for: .building, of: "layer \(layer)")
                input?.release()
                let step = try await bounds.building.withPermit {
                    try await workers.runIfActive {
                        let deadline = bounds.deadline(bounds.buildLimit)
                        return try opener.withLock { opener in
                            opener.limitMemory(to: memory.amount)
                            return try opener.next(by: deadline)
                        }
                    }
                }
                return (step, memory)
            }
        } catch let error as LayerFormatError {
            throw FallbackReason(error)
        } catch let reason as FallbackReason {
            throw reason
        } catch {
            throw FallbackReason(error is CancellationError ? .timeout : .internal, "\(error)")
        }
        guard case .done(let index) = step else {
            throw FallbackReason(.internal, "layer \(layer): the opener does not end")
        }
        return (index, memory)
    }

    /// Runs a cheap step of the layer's opener on a worker thread.
    private func step<Result: Sendable>(
        _ opener: Guarded<any LayerOpener>,
        _ body: @escaping @Sendable (inout any LayerOpener) throws(LayerFormatError) -> Result
    ) async throws(FallbackReason) -> Result {
        do {
            return try await workers.runIfActive { try opener.withLock { try body(&$0) } }
        } catch let error as LayerFormatError {
            throw FallbackReason(error)
        } catch {
            throw FallbackReason(.internal, "\(error)")
        }
    }

    private func read(
        _ location: BlobLocation, request: BlobRequest, knownSize: UInt64
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

    /// Returns the encoded layer index with this digest. Returns `early` if it is not `nil`. Otherwise gets the index
    /// through `artifact`, the layer's entry in the streaming artifact.
    private func index(
        _ digest: Digest, artifact: StreamingArtifact.Layer?, early: [UInt8]?, in repository: Repository
    ) async throws(FallbackReason) -> [UInt8] {
        if let early { return early }
        guard let artifact else { throw FallbackReason(.internal, "an index \(digest) without an artifact") }
        do throws(RegistryError) {
            return try await registry.index(of: artifact, in: repository)
        } catch {
            throw FallbackReason(registry: error)
        }
    }

    private func blob(_ blob: Descriptor, in repository: Repository) async throws(FallbackReason) -> [UInt8] {
        do throws(RegistryError) {
            return try await registry.blob(
                BlobLocation(repository: repository, digest: blob.digest), maximumSize: Int(clamping: blob.size))
        } catch {
            throw FallbackReason(registry: error)
        }
    }

    /// Returns the layer's table of contents in the companion image with the tag `<tag>-esgztoc`. In that image, an
    /// annotation names the layer to which a table belongs.
    ///
    /// The suffix and the annotation are those of stargz-snapshotter's external TOC converter.
    private func externalTOC(of layer: Digest, image: ImageReference) async throws(FallbackReason) -> Descriptor {
        guard let tag = image.tag else {
            throw FallbackReason(
                .notStreamable, "the table of contents of layer \(layer) is beside a tag, and \(image) has no tag")
        }
        let companion = ImageReference(repository: image.repository, tag: tag + "-esgztoc")
        do throws(RegistryError) {
            let manifest = try await registry.resolve(companion, platform: .current).manifest
            let found = manifest.layers.first {
                $0.annotations["containerd.io/snapshot/stargz/layer.digest"] == layer.description
            }
            if let found { return found }
        } catch {
            throw FallbackReason(registry: error)
        }
        throw FallbackReason(.notStreamable, "\(companion) has no table of contents for layer \(layer)")
    }
}

extension LayerKey {
    /// Returns true if the layer belongs to `repository`, so that only images of this repository may use it.
    fileprivate func isOf(_ repository: Repository) -> Bool {
        switch pin {
        case .index(_, let owner), .unverified(let owner): owner == "\(repository)"
        case .tableOfContents, .inherited: false
        }
    }
}
