import Base
import ContentStore
import LayerFormats
import NodeDatabase
import Registry

/// The rebuilding of chains that turn out to be of another image.
extension StreamedImages {
    /// Opens the layers of an image that claims the chain of `request` rightly.
    ///
    /// - Parameter images: the images that claim the chain.
    /// - Returns: the layers that the chain should have, bottom first. They are verified.
    /// - Throws: `imageMismatch` if no image can be streamed and verified.
    func rebuild(
        _ request: AdmissionRequest, from images: [ImageClaim]
    ) async throws(FallbackReason) -> [RemoteIdentity] {
        let count = try await admission.depth(of: request.chain)
        var unverified: FallbackReason?
        for image in images {
            guard let chainID = image.chainID(of: count), request.chainID == nil || request.chainID == chainID else {
                continue
            }
            for repository in image.repositories.sorted(by: { "\($0)" < "\($1)" }) {
                guard let layers = await layers(of: image, in: repository, count: count, request.namespace),
                    let top = layers.last
                else { continue }
                do throws(FallbackReason) {
                    if try await admission.isVerified(top.chain, as: chainID) { return layers }
                } catch {
                    // An image that cannot be verified must not keep the others from it.
                    unverified = error
                }
            }
        }
        if let unverified { throw unverified }
        throw FallbackReason(
            .imageMismatch,
            "another image claimed this chain ID for its own layers, and no image with the right layers can be streamed: remove the images with this chain ID and pull again"
        )
    }

    /// Prepares the lowest `count` layers of an image; `nil` if one of them cannot be streamed.
    private func layers(
        of image: ImageClaim, in repository: Repository, count: Int, _ namespace: String?
    ) async -> [RemoteIdentity]? {
        var prepared: [RemoteIdentity] = []
        for (index, layer) in image.layers.prefix(count).enumerated() {
            guard let chainID = image.chainID(of: index + 1) else { return nil }
            let outcome = await prepareLayer(
                RemoteLayerRequest(
                    imageReference: "\(repository)@\(image.manifest)", manifestDigest: image.manifest,
                    layerDigest: layer.digest, chainID: chainID, parent: prepared.last?.chain, labels: [:],
                    namespace: namespace))
            guard case .ready(let identity, _, _) = outcome else { return nil }
            prepared.append(identity)
        }
        return prepared
    }
}
