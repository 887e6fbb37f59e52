public import Base
public import ContentStore
import LayerFormats

/// The request to prepare a layer that containerd is about to pull.
///
/// All fields except the parent and the namespace come from labels. An image's author may have written these labels, so
/// the node does not trust the fields.
public struct RemoteLayerRequest: Sendable {
    /// The reference in containerd's normalized form, `docker.io/library/x:tag` or `…@sha256:…`. It is not yet parsed.
    public var imageReference: String
    /// The digest of the platform's manifest; `nil` if no label names it.
    public var manifestDigest: Digest?
    /// The digest of the layer's blob.
    public var layerDigest: Digest
    /// The chain ID of the layers up to this one (OCI image-spec, "Layer ChainID").
    public var chainID: Digest
    /// The chain of the layers below, which are streamed, too; `nil` for the bottom layer.
    public var parent: ChainKey?
    /// All labels of the request. Their number and size are bounded.
    public var labels: [String: String]
    /// The containerd namespace in which the image is pulled; `nil` if the snapshot's key does not name it.
    public var namespace: String?

    public init(
        imageReference: String, manifestDigest: Digest?, layerDigest: Digest, chainID: Digest, parent: ChainKey?,
        labels: [String: String], namespace: String? = nil
    ) {
        self.imageReference = imageReference
        self.manifestDigest = manifestDigest
        self.layerDigest = layerDigest
        self.chainID = chainID
        self.parent = parent
        self.labels = labels
        self.namespace = namespace
    }
}

extension RemoteLayerRequest {
    /// The layer, as far as the labels describe it.
    var layer: LayerDescription {
        LayerDescription(digest: layerDigest, size: 0, mediaType: "", annotations: labels)
    }
}
