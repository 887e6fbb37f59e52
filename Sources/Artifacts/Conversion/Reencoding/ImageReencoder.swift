public import Artifacts
public import Base
import FoundationEssentials
import LayerFormats
public import NIOPosix
public import Registry
public import Streaming
import SystemPackage

/// Writes an image anew in a format that nodes and tools of others can stream, beside the one that it is made of.
///
/// It has another digest than that, but says of which image it is made: it refers to it. The same image gives the same bytes.
public struct ImageReencoder: Sendable {
    /// Bytes of the old layers that are done with.
    public struct Progress: Sendable {
        public var bytes: UInt64 = 0
        public var totalBytes: UInt64 = 0
    }

    /// One image of one platform.
    public struct Result: Sendable {
        /// Of the manifest that it was made of, and of its own.
        public let source: Digest
        public let digest: Digest
        public let layers: Int
        /// Bytes of its layers.
        public let size: UInt64
    }

    /// Says of a manifest what it was made of; for those whose target is another repository, where nothing can be referred to.
    static let sourceAnnotation = "io.rivulet.reencoded.source"

    private let registry: RegistryClient
    private let layers: LayerReencoder

    /// - Parameters:
    ///   - workers: where layers are decoded and compressed; it must be running.
    ///   - cores: threads that it has.
    ///   - scratch: where a layer's archive is put meanwhile, and the new layer: as many bytes as they have.
    public init(
        registry: RegistryClient, workers: NIOThreadPool, cores: Int, format: ReencodedFormat,
        scratch: String = "/var/tmp"
    ) {
        self.registry = registry
        // Two for each core: one is read and written while the other is compressed.
        layers = LayerReencoder(
            registry: registry, workers: workers, format: format, scratch: scratch, batchesAtOnce: 2 * max(1, cores))
    }

    /// Writes all platforms of an image.
    ///
    /// - Parameters:
    ///   - target: where to; with a tag.
    ///   - profile: what a start reads: these files come first, and are marked to be prefetched.
    public func reencode(
        _ image: ImageManifests, to target: ImageReference, profile: Profile? = nil,
        report: @escaping @Sendable (Progress) -> Void = { _ in }
    ) async throws(ArtifactError) -> [Result] {
        let total = image.manifests.reduce(0) { $0 + $1.layers.reduce(0) { $0 + $1.size } }
        let progress = Guarded(Progress(totalBytes: total))
        let read: @Sendable (Int) -> Void = { count in
            report(
                progress.withLock { progress in
                    progress.bytes += UInt64(count)
                    return progress
                })
        }
        do {
            // Platforms share layers now and then.
            var made: [Digest: LayerReencoder.Result] = [:]
            var results: [Result] = []
            var written: [(descriptor: Descriptor, bytes: [UInt8])] = []
            for manifest in image.manifests {
                let (descriptor, bytes, size) = try await self.reencode(
                    manifest, image.repository, target.repository, profile, &made, read)
                results.append(
                    Result(
                        source: manifest.digest, digest: descriptor.digest, layers: manifest.layers.count, size: size))
                written.append((descriptor, bytes))
            }
            try await tag(target, written, image.platforms)
            return results
        } catch let error as ArtifactError {
            throw error
        } catch let error as RegistryError {
            throw ArtifactError(registry: error, "\(image.repository) cannot be written anew as \(target)")
        } catch let error as LayerFormatError {
            throw ArtifactError(layer: error, "\(image.repository)")
        } catch let error as Errno {
            throw ArtifactError(
                .internal,
                "\(image.repository) cannot be written anew: the scratch directory \(layers.scratch): \(error): it takes a "
                    + "layer's archive and the new layer; name another (--scratch)", cause: error)
        } catch {
            throw ArtifactError(.internal, "\(image.repository) cannot be written anew: \(error)", cause: error)
        }
    }

    /// Gives the tag to the one manifest that there is, or to an index of all.
    private func tag(
        _ target: ImageReference, _ written: [(descriptor: Descriptor, bytes: [UInt8])], _ platforms: [Platform]?
    ) async throws {
        var (bytes, type) = (written.first?.bytes ?? [], MediaType.ociManifest)
        if let platforms {
            let entries = zip(written, platforms).map { WireDescriptor($0.descriptor, platform: $1) }
            (bytes, type) = (try Self.encode(WireIndex(manifests: entries)), MediaType.ociIndex)
        }
        _ = try await registry.pushManifest(
            target.repository, reference: target.tag ?? Digest.of(bytes).description, mediaType: type, bytes: bytes)
    }

    private func reencode(
        _ manifest: Manifest, _ source: Repository, _ target: Repository, _ profile: Profile?,
        _ made: inout [Digest: LayerReencoder.Result], _ read: @escaping @Sendable (Int) -> Void
    ) async throws -> (Descriptor, bytes: [UInt8], size: UInt64) {
        let (old, diffIDs) = try await registry.configuration(of: manifest, in: source)
        var paths = profile.map(Self.paths) ?? []
        // From the top: a file that an upper layer has is not needed from one below.
        for (layer, diffID) in zip(manifest.layers, diffIDs).reversed() {
            if made[layer.digest] != nil {
                read(Int(clamping: layer.size))
                continue
            }
            guard [.tar, .gzip, .zstd].contains(layer.packing) else {
                throw ArtifactError(
                    .unsupportedMediaType,
                    "layer \(layer.digest) is of the kind \(layer.mediaType), which cannot be written anew")
            }
            let result = try await layers.reencode(
                layer, diffID: diffID, from: source, to: target, first: paths, read)
            made[layer.digest] = result
            paths.removeAll { result.found.contains($0) }
        }
        let new = manifest.layers.compactMap { made[$0.digest] }
        let config = try Self.configuration(old, diffIDs: new.map(\.diffID))
        let configDigest = try await registry.pushBlob(target, config)
        let subject =
            source == target
            ? Descriptor(mediaType: manifest.mediaType, digest: manifest.digest, size: manifest.size) : nil
        var annotations = manifest.annotations
        annotations[Self.sourceAnnotation] = "\(source)@\(manifest.digest)"
        let bytes = try Self.encode(
            WireManifest(
                config: WireDescriptor(
                    Descriptor(mediaType: MediaType.ociConfig, digest: configDigest, size: UInt64(config.count))),
                layers: new.map { WireDescriptor($0.descriptor, annotations: $0.descriptor.annotations) },
                subject: subject.map { WireDescriptor($0) }, annotations: annotations))
        let descriptor = Descriptor(
            mediaType: MediaType.ociManifest, digest: Digest.of(bytes), size: UInt64(bytes.count),
            annotations: annotations, artifactType: MediaType.ociConfig)
        if let subject {
            try await registry.pushReferrer(target, bytes, descriptor, subject: subject.digest)
        } else {
            _ = try await registry.pushManifest(
                target, reference: descriptor.digest.description, mediaType: descriptor.mediaType, bytes: bytes)
        }
        return (descriptor, bytes, new.reduce(0) { $0 + $1.descriptor.size })
    }

    /// The files of a profile, each once.
    private static func paths(_ profile: Profile) -> [[UInt8]] {
        var seen: Set<[UInt8]> = []
        return profile.entries.map(\.path).filter { seen.insert($0).inserted }
    }

    /// An image's configuration with other layers; all else stays as it is.
    private static func configuration(_ old: [UInt8], diffIDs: [Digest]) throws -> [UInt8] {
        var document = try JSONDecoder().decode([String: JSONValue].self, from: Data(old))
        guard case .object(var rootfs) = document["rootfs"] else {
            throw ArtifactError(.badLayer, "the image's configuration names no layers")
        }
        rootfs["diff_ids"] = .array(diffIDs.map { .string("\($0)") })
        document["rootfs"] = .object(rootfs)
        return try encode(document)
    }

    private static func encode(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(value))
    }

    private struct WireManifest: Encodable {
        let schemaVersion = 2
        let mediaType = MediaType.ociManifest
        let config: WireDescriptor
        let layers: [WireDescriptor]
        let subject: WireDescriptor?
        let annotations: [String: String]

        enum CodingKeys: CodingKey { case schemaVersion, mediaType, config, layers, subject, annotations }
    }

    private struct WireIndex: Encodable {
        let schemaVersion = 2
        let mediaType = MediaType.ociIndex
        let manifests: [WireDescriptor]

        enum CodingKeys: CodingKey { case schemaVersion, mediaType, manifests }
    }
}
