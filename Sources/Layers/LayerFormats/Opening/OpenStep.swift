public import Base
public import LayerIndex

/// Bytes of a blob that a format asks for.
public enum BlobRequest: Sendable, Equatable {
    /// The last bytes: this many, or the whole blob when it is smaller.
    case suffix(UInt64)
    /// These bytes.
    case range(ByteRange)
}

/// Something beside the blob that a format needs.
public enum LayerCompanion: Sendable, Equatable {
    /// The layer blob of the image's TOC image that carries the annotation
    /// `containerd.io/snapshot/stargz/layer.digest` with this layer's digest.
    case externalTOC
    /// The layer's index in the image's streaming artifact: the blob with this digest.
    case index(Digest)
}

/// The next step of opening a layer.
public enum OpenStep: Sendable {
    /// Bring bytes of the blob.
    case read(BlobRequest)
    /// Bring all bytes of the companion.
    case readCompanion(LayerCompanion)
    /// Nothing more: here is the index.
    case done(LayerIndexBytes)
}
