import Base
import ContainerRuntime
import Registry

/// What containerd has fetched of an image before it asks for the first layer: the manifest and the configuration. Read from it,
/// they take neither a round trip nor a request that a registry counts. What cannot be had there comes from the registry.
struct ContainerdContent: Sendable {
    let client: ContentClient
    /// Whose content it is.
    let namespace: String

    init?(_ client: ContentClient?, namespace: String?) {
        guard let client, let namespace else { return nil }
        self.client = client
        self.namespace = namespace
    }

    func manifest(_ digest: Digest) async -> Manifest? {
        guard let bytes = await blob(digest, maximumSize: ManifestDocument.maximumSize),
            case .image(let manifest)? = try? ManifestDocument(bytes: bytes, digest: digest, contentType: nil)
        else { return nil }
        return manifest
    }

    func configuration(_ digest: Digest) async -> [UInt8]? {
        await blob(digest, maximumSize: RegistryClient.maximumConfigSize)
    }

    private func blob(_ digest: Digest, maximumSize: Int) async -> [UInt8]? {
        try? await client.blob(digest, namespace: namespace, maximumSize: maximumSize)
    }
}
