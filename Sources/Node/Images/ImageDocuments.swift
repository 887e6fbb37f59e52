import Base
import ContainerRuntime
import LayerFormats
import Registry

/// The reader of images' manifests and configurations.
///
/// When containerd requests an image's first layer, it has already fetched the manifest and the configuration. Reading
/// them from containerd's content store saves a round trip, and a request that counts against the registry's rate
/// limit. If containerd cannot provide a document, the reader may fetch it from the registry.
struct ImageDocuments: Sendable {
    /// The maximum number of layers of a streamed image. containerd cannot stack more directories either.
    static let maximumLayers = 128

    let registry: RegistryClient
    /// The client of containerd's content store; `nil` if containerd's socket is not configured.
    let containerd: ContentClient?
    let pulledDocuments: PulledDocuments

    /// Returns the layers of the image that `request` names, and the descriptor of the image's configuration.
    ///
    /// A request without a manifest digest names only a tag. If the tag now points to an image without the requested
    /// layer, the function returns only that layer and no configuration.
    func description(
        of reference: ImageReference, _ request: RemoteLayerRequest
    ) async throws(FallbackReason) -> ImageOpening.ImageDescription {
        let found: (manifest: Manifest, isFromContainerd: Bool)
        do throws(RegistryError) {
            found = try await manifest(of: reference, request)
        } catch {
            throw FallbackReason(registry: error)
        }
        let manifest = found.manifest
        guard manifest.layers.count <= Self.maximumLayers else {
            throw FallbackReason(
                .limit,
                "manifest \(manifest.digest) has \(manifest.layers.count) layers, at most \(Self.maximumLayers) are streamed"
            )
        }
        let chainIDs = try await chainIDs(of: manifest, from: reference.repository, in: request.namespace)
        if manifest.layers.contains(where: { $0.digest == request.layerDigest }) {
            let layers = manifest.layers.map { layer in
                LayerDescription(
                    digest: layer.digest, size: layer.size, mediaType: layer.mediaType, annotations: layer.annotations)
            }
            return ImageOpening.ImageDescription(
                layers: layers, configuration: manifest.config, manifest: manifest.digest,
                isFromContainerd: found.isFromContainerd, chainIDs: chainIDs)
        }
        guard request.manifestDigest == nil else {
            throw FallbackReason(.imageMismatch, "manifest \(manifest.digest) has no layer \(request.layerDigest)")
        }
        // The tag has moved since the client resolved it. The labels describe only this one layer.
        return ImageOpening.ImageDescription(
            layers: [request.layer], configuration: nil, manifest: nil, isFromContainerd: false)
    }

    /// Returns the chain IDs of an image's layers, bottom first, after checking with containerd that it has pulled the
    /// image from `repository`.
    ///
    /// The author of an image can set the labels that name another image, unless containerd sets them itself. Its
    /// layers must not be read with the rights of the other one's repository. Returns `nil` if the socket of containerd
    /// is not configured, so that nobody can check that.
    private func chainIDs(
        of manifest: Manifest, from repository: Repository, in namespace: String?
    ) async throws(FallbackReason) -> [Digest]? {
        guard let containerd, let namespace else { return nil }
        let found: (repositories: Set<Repository>, configuration: ImageConfiguration?)
        do throws(ContainerRuntimeError) {
            found = try await containerd.connected(namespace: namespace) { [pulledDocuments] session in
                let repositories = try await session.info(manifest.digest)?.repositories ?? []
                guard repositories.contains(repository) else { return (repositories, nil) }
                let configuration = try await pulledDocuments.configuration(manifest.config.digest) {
                    () async throws(ContainerRuntimeError) in
                    try await session.blob(manifest.config.digest, maximumSize: RegistryClient.maximumConfigSize)
                }
                return (repositories, configuration)
            }
        } catch {
            throw FallbackReason(.busy, "containerd does not tell where manifest \(manifest.digest) is from: \(error)")
        }
        guard found.repositories.contains(repository) else {
            throw FallbackReason(
                .imageMismatch, "containerd has not pulled manifest \(manifest.digest) from \(repository)")
        }
        return found.configuration?.diffIDs.reduce(into: []) {
            $0.append(ImageConfiguration.chainID(of: $1, on: $0.last))
        } ?? []
    }

    private func manifest(
        of reference: ImageReference, _ request: RemoteLayerRequest
    ) async throws(RegistryError) -> (manifest: Manifest, isFromContainerd: Bool) {
        guard let digest = request.manifestDigest else {
            return (try await registry.resolve(reference, platform: .current).manifest, false)
        }
        // A namespace must not see a manifest that only another one has, so containerd is asked each time.
        if let bytes = await pulled(digest, in: request.namespace, maximumSize: ManifestDocument.maximumSize),
            let manifest = await pulledDocuments.manifest(digest, { bytes })
        {
            return (manifest, true)
        }
        return (try await registry.manifest(reference.repository, digest: digest), false)
    }

    /// Returns the configuration from containerd's content store; `nil` if it cannot be read from there.
    func pulledConfiguration(_ descriptor: Descriptor, namespace: String?) async -> ImageConfiguration? {
        let bytes = await pulled(descriptor.digest, in: namespace, maximumSize: RegistryClient.maximumConfigSize)
        return await pulledDocuments.configuration(descriptor.digest) { bytes }
    }

    /// Fetches the configuration from the registry. Returns `nil` on failure. The only consequence is that the
    /// container's start is not predicted.
    func configuration(_ descriptor: Descriptor, in repository: Repository) async -> ImageConfiguration? {
        let bytes = try? await registry.blob(
            BlobLocation(repository: repository, digest: descriptor.digest),
            maximumSize: RegistryClient.maximumConfigSize)
        return bytes.flatMap { try? ImageConfiguration(bytes: $0) }
    }

    private func pulled(_ digest: Digest, in namespace: String?, maximumSize: Int) async -> [UInt8]? {
        guard let containerd, let namespace else { return nil }
        return try? await containerd.blob(digest, namespace: namespace, maximumSize: maximumSize)
    }
}
