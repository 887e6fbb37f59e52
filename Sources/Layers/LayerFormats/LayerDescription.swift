public import Base

/// What is known of a layer before anything of its blob has been read.
public struct LayerDescription: Sendable {
    /// The digest of the blob.
    public var digest: Digest
    /// Bytes in the blob; 0 when nobody said.
    public var size: UInt64
    /// The media type of the layer's descriptor; empty when nobody said.
    public var mediaType: String
    /// The annotations of the layer's descriptor and the labels of its snapshot, in one.
    public var annotations: [String: String]

    public init(digest: Digest, size: UInt64, mediaType: String, annotations: [String: String]) {
        self.digest = digest
        self.size = size
        self.mediaType = mediaType
        self.annotations = annotations
    }
}
