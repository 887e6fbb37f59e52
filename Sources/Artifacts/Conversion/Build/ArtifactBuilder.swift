public import Artifacts
public import Base
import Concurrency
import LayerFormats
public import Logging
public import NIOPosix
public import Prediction
public import Registry
public import Streaming

/// A builder of streaming artifacts. It reads the layers of an image from the registry, and pushes the data that nodes
/// need to stream the image.
///
/// The same image and profile always produce the same bytes, so several builders may work on one image without
/// coordination. A builder pushes only blobs that the registry lacks.
public struct ArtifactBuilder: Sendable {
    /// The progress of a build.
    public struct Progress: Sendable {
        /// The number of bytes that the current step has processed.
        public var bytes: UInt64 = 0
        /// The number of bytes that the current step will process; 0 if unknown.
        public var totalBytes: UInt64 = 0
        /// The current step.
        public var step = Step.layers

        public enum Step: Sendable {
            /// The builder reads the layers. The progress counts bytes of the compressed layers.
            case layers
            /// The builder fetches the chunks that a start reads, for the startup pack. The progress counts decoded
            /// bytes. Without a recorded start, the total is 0 (unknown).
            case pack
        }
    }

    /// A streaming artifact in the registry.
    public struct Published: Sendable {
        public let artifact: StreamingArtifact
        public let digest: Digest
        /// True if the builder found the artifact in the registry and did not build a new one.
        public let wasThere: Bool
        /// The total size of the artifact's blobs in bytes: layer indexes, windows (the data that nodes need to start
        /// decoding within a layer), copies of layers, and the startup pack.
        public var size: UInt64 {
            (artifact.layers.map(\.size) + [artifact.pack?.size ?? 0]).saturatingSum()
        }
    }

    /// The size limits, in bytes, for layer indexes that the artifact's manifest embeds: for each index, and for all of
    /// them together. A small index is embedded because a separate request would cost a node more than these few
    /// kilobytes. Registries accept manifests of 4 MiB.
    private static let manifestIndex = (each: 32 << 10, all: 384 << 10)

    private let registry: RegistryClient
    private let workers: NIOThreadPool
    /// The number of layers that the builder reads concurrently.
    private let layersAtOnce: Int
    private let signer: ArtifactSigner?
    private let scratch: String
    private let analyzer: PredictorOptions
    private let keptLayer: UInt64
    private let logger: Logger

    /// Creates a builder.
    ///
    /// - Parameters:
    ///   - registry: the client of the image's registry.
    ///   - workers: the running pool that decodes layers.
    ///   - layersAtOnce: the number of layers that the builder reads concurrently. The best value is the number of
    ///     cores, because decoding is the bottleneck.
    ///   - signer: the signer of the artifacts; `nil` for unsigned artifacts.
    ///   - keptLayer: the minimum compressed size, in bytes, of a layer whose finished data the builder records in the
    ///     registry. If another layer then fails, the next build does not repeat the recorded one. A smaller layer
    ///     takes only a few seconds.
    ///   - scratch: the directory for temporary files. A startup pack needs room for the content that it covers. A
    ///     layer that must be copied needs room for its archive and the copy.
    ///   - analyzer: the options of the analyzer, the process that predicts the reads of a container start.
    ///   - logger: the logger, which receives one line for each layer.
    public init(
        registry: RegistryClient, workers: NIOThreadPool, layersAtOnce: Int, signer: ArtifactSigner? = nil,
        scratch: String = "/var/tmp", keptLayer: UInt64 = 256 << 20,
        analyzer: PredictorOptions = PredictorOptions(), logger: Logger
    ) {
        self.scratch = scratch
        self.analyzer = analyzer
        self.keptLayer = keptLayer
        self.signer = signer
        self.registry = registry
        self.workers = workers
        self.layersAtOnce = max(1, layersAtOnce)
        self.logger = logger
    }

    /// Builds and pushes the streaming artifact of one image manifest, which describes the image for one platform.
    ///
    /// - Parameters:
    ///   - repository: the repository of the image.
    ///   - manifest: the image's manifest.
    ///   - profile: the reads of a recorded start, from which the builder makes a startup pack; `nil` for none. If the
    ///     image already has an artifact without this pack, the builder pushes a second artifact with the pack. Nodes
    ///     prefer the second artifact.
    ///   - predicts: true to build a predicted startup pack if there is neither a profile nor an earlier pack of a
    ///     recorded start. If the image already has an artifact, the builder makes a predicted pack only if it reads
    ///     the layers again, because of `force` or because it has a signer.
    ///   - force: true to read the layers and build their data again, even if the image has an artifact.
    ///   - report: called occasionally, from any task.
    ///
    /// - Returns: the new artifact, or the existing one if nothing had to be built.
    public func publish(
        in repository: Repository, manifest: Manifest, profile: Profile? = nil, predicts: Bool = true,
        force: Bool = false, report: @escaping @Sendable (Progress) -> Void = { _ in }
    ) async throws(ArtifactError) -> Published {
        let found = try await existing(repository, manifest.digest)
        // With a signer, the builder does not reuse an existing artifact, because another builder may have made its
        // layer data. The builder signs only data that it has built itself.
        if !force, signer == nil, profile == nil, let found { return found }
        let subject = Descriptor(mediaType: manifest.mediaType, digest: manifest.digest, size: manifest.size)
        let layers: [StreamingArtifact.Layer]
        var source = profile.map { PackBuilder.Source.profile($0) }
        if !force, signer == nil, let found {
            layers = found.artifact.layers
        } else {
            let configuration = try await configuration(repository, manifest)
            layers = try await self.layers(
                in: repository, manifest: manifest, diffIDs: configuration.diffIDs, subject: subject, report: report)
            // A predicted pack never replaces a recorded one.
            let isSeen = found?.artifact.pack != nil && found?.artifact.isPackPredicted == false
            if source == nil, predicts, !isSeen, let start = configuration.start { source = .prediction(start) }
        }
        if source != nil, !Set(layers.map(\.blob)).isSuperset(of: manifest.layers.map(\.digest)) {
            source = nil
            logger.warning(
                "the image gets no startup pack, because not all of its layers can be streamed",
                metadata: ["image": "\(repository)@\(manifest.digest)"])
        }
        var pack: (Descriptor, UInt32)?
        if let source,
            let blob = try await self.pack(
                in: repository, manifest: manifest, layers: layers, source: source, report: report)
        {
            let isSame =
                found?.artifact.pack == blob && found?.artifact.layers == layers
                && found?.artifact.isPackPredicted == (profile == nil)
            if let found, signer == nil, isSame { return found }
            pack = (blob, (found?.artifact.generation ?? 0) + (isSame ? 0 : 1))
        } else if force, found?.artifact.pack != nil {
            logger.warning(
                "the image has another artifact with a startup pack, which nodes prefer as long as it is there",
                metadata: ["artifact": "\(found.map { "\($0.digest)" } ?? "")"])
        }
        let bare = StreamingArtifact(
            subject: subject, layers: layers, pack: pack, isPackPredicted: pack != nil && profile == nil)
        let artifact = try signer?.sign(bare) ?? bare
        let bytes = try artifact.encoded()
        do throws(RegistryError) {
            try await registry.pushBlob(repository, StreamingArtifact.emptyConfig)
            try await registry.pushReferrer(
                to: repository, bytes: bytes, as: artifact.descriptor(of: bytes), subject: manifest.digest)
        } catch {
            throw ArtifactError(registry: error, "the streaming artifact of \(repository)@\(manifest.digest)")
        }
        if manifest.layers.contains(where: { $0.size >= keptLayer }) {
            await UnfinishedArtifact(registry: registry, repository: repository, subject: subject, isUsed: true)
                .forget()
        }
        return Published(artifact: artifact, digest: Digest.of(bytes), wasThere: false)
    }

    private func existing(_ repository: Repository, _ image: Digest) async throws(ArtifactError) -> Published? {
        do throws(RegistryError) {
            return try await registry.artifact(repository, of: image).map {
                Published(artifact: $0.artifact, digest: $0.digest, wasThere: true)
            }
        } catch {
            throw ArtifactError(registry: error, "the referrers of \(repository)@\(image)")
        }
    }

    // MARK: - The startup pack

    private func pack(
        in repository: Repository, manifest: Manifest, layers: [StreamingArtifact.Layer],
        source: PackBuilder.Source, report: @escaping @Sendable (Progress) -> Void
    ) async throws(ArtifactError) -> Descriptor? {
        let builder = PackBuilder(
            registry: registry, workers: workers, scratch: scratch, analyzer: analyzer, logger: logger)
        var total: UInt64 = 0
        if case .profile(let profile) = source { total = profile.byteCount }
        let progress = Guarded(Progress(totalBytes: total, step: .pack))
        let bytes: [UInt8]?
        do {
            bytes = try await builder.pack(in: repository, manifest: manifest, layers: layers, source: source) {
                count in
                report(
                    progress.withLock { progress in
                        progress.bytes = [progress.bytes, UInt64(count)].saturatingSum()
                        return progress
                    })
            }
        } catch {
            guard case .prediction = source, !Task.isCancelled else { throw error }
            // A predicted pack is optional: the caller did not supply a profile, and nodes do not need the pack.
            logger.warning(
                "skipping the predicted startup pack",
                metadata: ["image": "\(repository)@\(manifest.digest)", "error": "\(error)"])
            return nil
        }
        guard let bytes else {
            if case .profile = source {
                logger.warning(
                    "the image has none of the profile's files",
                    metadata: ["image": "\(repository)@\(manifest.digest)"])
            }
            return nil
        }
        do throws(RegistryError) {
            return try await push(to: repository, bytes: bytes, type: StreamingArtifact.startupPackType)
        } catch {
            throw ArtifactError(registry: error, "the startup pack of \(repository)@\(manifest.digest)")
        }
    }

    // MARK: - Layers

    private func layers(
        in repository: Repository, manifest: Manifest, diffIDs: [Digest], subject: Descriptor,
        report: @escaping @Sendable (Progress) -> Void
    ) async throws(ArtifactError) -> [StreamingArtifact.Layer] {
        var seen: Set<Digest> = []
        var work: [(descriptor: Descriptor, diffID: Digest)] = []
        var refusal: ArtifactError?
        for (descriptor, diffID) in zip(manifest.layers, diffIDs) where seen.insert(descriptor.digest).inserted {
            switch descriptor.packing {
            case .tar, .gzip, .zstd: work.append((descriptor, diffID))
            case .foreign, .encrypted, .unknown:
                let error = ArtifactError(
                    .unsupportedMediaType,
                    "layer \(descriptor.digest) of \(repository) has the type \(descriptor.mediaType), which cannot be streamed"
                )
                leaveOut(descriptor, error)
                refusal = error
            }
        }
        let made = try await layers(in: repository, subject: subject, work: work, report: report)
        if made.layers.isEmpty, let refusal = refusal ?? made.refusal { throw refusal }
        return made.layers
    }

    /// Logs a layer that the artifact leaves out. Nodes can stream only the layers below the logged layer. They pull
    /// the logged layer and all layers above it.
    private func leaveOut(_ descriptor: Descriptor, _ error: ArtifactError) {
        logger.warning(
            "leaving out a layer that cannot be streamed",
            metadata: ["layer": "\(descriptor.digest)", "reason": "\(error.message)"])
    }

    /// Reads the layers of `work` concurrently, and returns the results in the order of `work`, without layers that
    /// cannot be streamed. `refusal` is the error of one layer that cannot be streamed; `nil` if there is none.
    private func layers(
        in repository: Repository, subject: Descriptor, work: [(descriptor: Descriptor, diffID: Digest)],
        report: @escaping @Sendable (Progress) -> Void
    ) async throws(ArtifactError) -> (layers: [StreamingArtifact.Layer], refusal: ArtifactError?) {
        let total = work.map(\.descriptor.size).saturatingSum()
        let unfinished = UnfinishedArtifact(
            registry: registry, repository: repository, subject: subject, isUsed: signer == nil)
        let made = work.contains { $0.descriptor.size >= keptLayer } ? await unfinished.layers() : [:]
        let progress = Guarded(Progress(totalBytes: total))
        report(progress.withLock { $0 })
        let read: @Sendable (Int) -> Void = { count in
            report(
                progress.withLock { progress in
                    // The builder reads the start of a layer twice if it then finds that the layer needs a copy.
                    progress.bytes = min(total, [progress.bytes, UInt64(count)].saturatingSum())
                    return progress
                })
        }
        let refusal = Guarded<ArtifactError?>(nil)
        let layers = try await work.concurrentMap(limit: layersAtOnce) {
            item throws(ArtifactError) -> StreamingArtifact.Layer? in
            let (descriptor, diffID) = item
            if let layer = made[descriptor.digest], layer.diffID == diffID {
                read(Int(clamping: descriptor.size))
                return layer
            }
            let layer: StreamingArtifact.Layer
            do throws(ArtifactError) {
                layer = try await self.layer(in: repository, descriptor: descriptor, diffID: diffID, read: read)
            } catch {
                guard error.code == .unsupportedMediaType else { throw error }
                leaveOut(descriptor, error)
                refusal.withLock { $0 = error }
                return nil
            }
            if descriptor.size >= keptLayer { await unfinished.keep(layer) }
            return layer
        }
        return (Self.bounded(layers.compactMap { $0 }), refusal.withLock { $0 })
    }

    /// Returns the layers with as many embedded indexes as ``manifestIndex`` allows in total. Nodes fetch the other
    /// indexes as separate blobs.
    private static func bounded(_ layers: [StreamingArtifact.Layer]) -> [StreamingArtifact.Layer] {
        var left = manifestIndex.all
        return layers.map { layer in
            var layer = layer
            if let bytes = layer.indexBytes, bytes.count <= left {
                left -= bytes.count
            } else {
                layer.indexBytes = nil
            }
            return layer
        }
    }

    /// Returns two parts of the image's configuration: the diff IDs, and the process that a container starts. The
    /// process is `nil` if the image has no command.
    private func configuration(
        _ repository: Repository, _ manifest: Manifest
    ) async throws(ArtifactError) -> (diffIDs: [Digest], start: ContainerStart?) {
        do throws(RegistryError) {
            let found = try await registry.configuration(of: manifest, in: repository)
            let start = ContainerStart(try ImageConfiguration(bytes: found.bytes))
            return (found.diffIDs, start.arguments.isEmpty ? nil : start)
        } catch {
            throw ArtifactError(registry: error, "the configuration of \(repository)@\(manifest.digest)")
        }
    }

    /// Reads one layer, and pushes its index. Also pushes the layer's windows, if it has any: the data that nodes need
    /// to start decoding within the compressed stream. Also pushes a copy if the layer can be decoded only from its
    /// beginning.
    private func layer(
        in repository: Repository, descriptor: Descriptor, diffID: Digest, read: @escaping @Sendable (Int) -> Void
    ) async throws(ArtifactError) -> StreamingArtifact.Layer {
        let (indexed, copy) = try await index(in: repository, descriptor: descriptor, diffID: diffID, read: read)
        guard indexed.diffID == diffID else {
            throw ArtifactError(
                .badLayer,
                "layer \(descriptor.digest) of \(repository) unpacks to \(indexed.diffID), but the image names \(diffID)"
            )
        }
        do {
            let blob = try await workers.runIfActive {
                try LayerIndexBlob.encode(indexed.index, blobDigest: descriptor.digest, diffID: diffID)
            }
            let index = try await push(to: repository, bytes: blob, type: StreamingArtifact.layerIndexType)
            let windows =
                indexed.windows.isEmpty
                ? nil : try await push(to: repository, bytes: indexed.windows, type: StreamingArtifact.windowsType)
            logger.debug(
                "layer indexed",
                metadata: [
                    "layer": "\(descriptor.digest)", "index": "\(index.size)", "windows": "\(windows?.size ?? 0)",
                    "copy": "\(copy?.size ?? 0)",
                ])
            return StreamingArtifact.Layer(
                blob: descriptor.digest, diffID: diffID, index: index,
                indexBytes: blob.count <= Self.manifestIndex.each ? blob : nil, windows: windows, copy: copy)
        } catch let error as RegistryError {
            throw ArtifactError(registry: error, "the index of layer \(descriptor.digest)")
        } catch {
            throw ArtifactError(.internal, "layer \(descriptor.digest): \(error)", cause: error)
        }
    }

    private func push(
        to repository: Repository, bytes: [UInt8], type: String
    ) async throws(RegistryError) -> Descriptor {
        let digest = try await registry.pushBlob(repository, bytes)
        return Descriptor(mediaType: type, digest: digest, size: UInt64(bytes.count))
    }

    /// Builds the index of a layer. If the layer can be decoded only from its beginning, also pushes a copy that nodes
    /// read in place of the layer. For any other layer, `copy` is `nil`.
    private func index(
        in repository: Repository, descriptor: Descriptor, diffID: Digest, read: @escaping @Sendable (Int) -> Void
    ) async throws(ArtifactError) -> (IndexedLayer, copy: Descriptor?) {
        do {
            do {
                return (try await registry.index(descriptor, in: repository, on: workers, read: read), nil)
            } catch let error as LayerFormatError where error.code == .undivided {
                logger.info(
                    "copying a layer that is compressed in one piece",
                    metadata: ["layer": "\(descriptor.digest)", "reason": "\(error.message)"])
                let made = try await LayerCopier(registry: registry, workers: workers, scratch: scratch).copy(
                    descriptor, diffID: diffID, in: repository, read: read)
                return (made.indexed, made.descriptor)
            }
        } catch let error as ArtifactError {
            throw error
        } catch let error as RegistryError {
            throw ArtifactError(registry: error, "layer \(descriptor.digest) of \(repository)")
        } catch let error as LayerFormatError {
            throw ArtifactError(layer: error, "layer \(descriptor.digest) of \(repository)")
        } catch {
            throw ArtifactError(.internal, "layer \(descriptor.digest): \(error)", cause: error)
        }
    }
}
