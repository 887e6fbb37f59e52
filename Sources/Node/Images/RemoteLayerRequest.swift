public import Base
import LayerFormats

/// A layer that containerd is about to pull.
///
/// Every field but the parent's chain ID comes from labels: an image's author may have written it.
public struct RemoteLayerRequest: Sendable {
    /// The reference as containerd normalized it, `docker.io/library/x:tag` or `…@sha256:…`. Not yet parsed.
    public var imageReference: String
    /// The manifest of the platform; `nil` if the client did not name it.
    public var manifestDigest: Digest?
    /// The blob of the layer.
    public var layerDigest: Digest
    /// The chain that ends with the layer.
    public var chainID: Digest
    /// The chain below, itself remote; `nil` for the bottom layer.
    public var parentChainID: Digest?
    /// All labels of the request, bounded in number and size.
    public var labels: [String: String]
    /// The containerd namespace that pulls the image; `nil` if the snapshot's key does not name one.
    public var namespace: String?

    public init(
        imageReference: String, manifestDigest: Digest?, layerDigest: Digest, chainID: Digest, parentChainID: Digest?,
        labels: [String: String], namespace: String? = nil
    ) {
        self.imageReference = imageReference
        self.manifestDigest = manifestDigest
        self.layerDigest = layerDigest
        self.chainID = chainID
        self.parentChainID = parentChainID
        self.labels = labels
        self.namespace = namespace
    }
}

extension RemoteLayerRequest {
    /// The layer, as far as labels describe it.
    var layer: LayerDescription {
        LayerDescription(digest: layerDigest, size: 0, mediaType: "", annotations: labels)
    }
}
