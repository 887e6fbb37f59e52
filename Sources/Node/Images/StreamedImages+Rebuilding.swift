import Base
import ContentStore
import LayerFormats
public import NodeDatabase
import Registry

/// The rebuilding of chains that turn out to be of another image.
extension StreamedImages {
    public func admit(_ request: AdmissionRequest) async throws(FallbackReason) -> [RemoteIdentity]? {
        let layers = try await admission.decide(request) { image, repository, count in
            await self.layers(of: image, in: repository, count: count, request.namespace)
        }
        // The snapshotter records the layers next.
        for layer in layers ?? [] { held.hold(layer.chain) }
        return layers
    }

    /// Prepares the lowest `count` layers of an image; `nil` if one of them cannot be streamed.
    private func layers(
        of image: ImageClaim, in repository: Repository, count: Int, _ namespace: String?
    ) async -> [RemoteIdentity]? {
        var prepared: [RemoteIdentity] = []
        for (index, layer) in image.layers.prefix(count).enumerated() {
            guard let chainID = image.chainID(of: index + 1) else { return nil }
            let request = RemoteLayerRequest(
                imageReference: "\(repository)@\(image.manifest)", manifestDigest: image.manifest,
                layerDigest: layer.digest, chainID: chainID, parent: prepared.last?.chain, labels: [:],
                namespace: namespace)
            // Nobody may be able to use the chain, so it is not mounted yet.
            guard let layer = try? await prepare(request, isCandidate: true) else { return nil }
            prepared.append(layer.identity)
        }
        return prepared
    }
}
