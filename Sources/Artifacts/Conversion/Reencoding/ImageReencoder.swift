public import Artifacts
public import Base
import FoundationEssentials
import LayerFormats
public import NIOPosix
public import Registry
public import Streaming
import SystemPackage

/// A converter of images to a format that stargz-snapshotter and related tools can stream; see ``ReencodedFormat``.
///
/// The result is a separate image with its own digest. Its manifest refers to the original manifest. The same image and
/// profile always produce the same bytes.
public struct ImageReencoder: Sendable {
    /// The progress of a conversion, in bytes of the original layers.
    public struct Progress: Sendable {
        public var bytes: UInt64 = 0
        public var totalBytes: UInt64 = 0
    }

    /// The converted image of one platform.
    public struct Result: Sendable {
        /// The digest of the original manifest.
        public let source: Digest
        public let digest: Digest
        public let layers: Int
        /// The total size of the new layers in bytes.
        public let size: UInt64
    }

    /// The annotation of the new manifest that names the original manifest. If the new manifest is in another
    /// repository, this annotation is its only reference to the original. An OCI `subject` must be in the same
    /// repository.
    static let sourceAnnotation = "io.rivulet.reencoded.source"

    private let registry: RegistryClient
    private let layers: LayerReencoder

    /// Creates a converter.
    ///
    /// - Parameters:
    ///   - registry: the client for the registries of the original and of the result.
    ///   - workers: the running pool that decodes and compresses layers.
    ///   - cores: the number of threads of `workers`.
    ///   - format: the format of the result.
    ///   - scratch: the directory for temporary files. It needs room for a layer's archive and for the new layer.
    public init(
        registry: RegistryClient, workers: NIOThreadPool, cores: Int, format: ReencodedFormat,
        scratch: String = "/var/tmp"
    ) {
        self.registry = registry
        // Two batches for each core: one is read or written while the other is compressed.
        layers = LayerReencoder(
            registry: registry, workers: workers, format: format, scratch: scratch, batchesAtOnce: 2 * max(1, cores))
    }

    /// Converts all platforms of an image, pushes the results, and sets the tag of `target` last.
    ///
    /// - Parameters:
    ///   - image: the manifests of the image.
    ///   - target: the result's reference, with a tag.
    ///   - profile: the reads of a start; `nil` if unknown. The files that the profile names come first in the new
    ///     layers, and are marked for prefetch.
    ///   - report: called occasionally, from any task.
    ///
    /// - Returns: one result for each manifest of the image.
    public func reencode(
        _ image: ImageManifests, to target: ImageReference, profile: Profile? = nil,
        report: @escaping @Sendable (Progress) -> Void = { _ in }
    ) async throws(ArtifactError) -> [Result] {
        let total = image.manifests.flatMap(\.layers).map(\.size).saturatingSum()
        let progress = Guarded(Progress(totalBytes: total))
        let read: @Sendable (Int) -> Void = { count in
            report(
                progress.withLock { progress in
                    progress.bytes = [progress.bytes, UInt64(count)].saturatingSum()
                    return progress
                })
        }
        do {
            // Platforms occasionally share layers. Each shared layer is converted once.
            var made: [Digest: LayerReencoder.Result] = [:]
            var results: [Result] = []
            var written: [(descriptor: Descriptor, bytes: [UInt8])] = []
            for manifest in image.manifests {
                let (descriptor, bytes, size) = try await self.reencode(
                    manifest, from: image.repository, to: target.repository, profile: profile, made: &made, read: read)
                results.append(
                    Result(
                        source: manifest.digest, digest: descriptor.digest, layers: manifest.layers.count, size: size))
                written.append((descriptor, bytes))
            }
            try await tag(target, as: written, platforms: image.platforms)
            return results
        } catch let error as ArtifactError {
            throw error
        } catch let error as RegistryError {
            throw ArtifactError(registry: error, "cannot convert \(image.repository) to \(target)")
        } catch let error as LayerFormatError {
            throw ArtifactError(layer: error, "\(image.repository)")
        } catch let error as Errno {
            throw ArtifactError(
                .internal,
                "cannot convert \(image.repository): the scratch directory \(layers.scratch): \(error): it needs room for a "
                    + "layer's archive and the new layer; choose another --scratch", cause: error)
        } catch {
            throw ArtifactError(.internal, "cannot convert \(image.repository): \(error)", cause: error)
        }
    }

    /// Pushes the document that the target's tag names: the single new manifest, or an index of all new manifests if
    /// the original is an index.
    private func tag(
        _ target: ImageReference, as written: [(descriptor: Descriptor, bytes: [UInt8])], platforms: [Platform]?
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
        _ manifest: Manifest, from source: Repository, to target: Repository, profile: Profile?,
        made: inout [Digest: LayerReencoder.Result], read: @escaping @Sendable (Int) -> Void
    ) async throws -> (Descriptor, bytes: [UInt8], size: UInt64) {
        let (old, diffIDs) = try await registry.configuration(of: manifest, in: source)
        var paths = profile.map(Self.paths) ?? []
        // Starts at the top layer. If an upper layer has one of the profile's files, the start does not read that
        // file's version in a lower layer.
        for (layer, diffID) in zip(manifest.layers, diffIDs).reversed() {
            if let known = made[layer.digest] {
                read(Int(clamping: layer.size))
                paths.removeAll { known.found.contains($0) }
                continue
            }
            guard [.tar, .gzip, .zstd].contains(layer.packing) else {
                throw ArtifactError(
                    .unsupportedMediaType,
                    "layer \(layer.digest) has the type \(layer.mediaType), which cannot be converted")
            }
            let result = try await layers.reencode(
                layer, diffID: diffID, from: source, to: target, first: paths, read: read)
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
            try await registry.pushReferrer(to: target, bytes: bytes, as: descriptor, subject: subject.digest)
        } else {
            _ = try await registry.pushManifest(
                target, reference: descriptor.digest.description, mediaType: descriptor.mediaType, bytes: bytes)
        }
        return (descriptor, bytes, new.map(\.descriptor.size).saturatingSum())
    }

    /// Returns the paths of the files that a profile names, each once.
    private static func paths(_ profile: Profile) -> [[UInt8]] {
        var seen: Set<[UInt8]> = []
        return profile.entries.map(\.path).filter { seen.insert($0).inserted }
    }

    /// Returns an image's configuration with new diff IDs and everything else unchanged.
    private static func configuration(_ old: [UInt8], diffIDs: [Digest]) throws -> [UInt8] {
        var document = try JSONDecoder().decode([String: JSONValue].self, from: Data(old))
        guard case .object(var rootfs) = document["rootfs"] else {
            throw ArtifactError(.badLayer, "the image's configuration has no layers")
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
