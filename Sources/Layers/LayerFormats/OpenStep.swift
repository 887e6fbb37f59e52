public import Base
public import LayerIndex

/// Bytes of a blob that a format asks for.
public enum BlobRequest: Sendable, Equatable {
    /// The last bytes: this many, or the whole blob when it is smaller.
    case suffix(UInt64)
    /// These bytes.
    case range(ByteRange)
}

/// What a format wants next.
public enum OpenStep: Sendable {
    /// Bytes of the blob.
    case read(BlobRequest)
    /// The table of contents is not in the blob: the caller finds the TOC image and gives the layer blob of it that
    /// carries the annotation `containerd.io/snapshot/stargz/layer.digest` with this layer's digest.
    case readExternalTOC
    /// Nothing more: here is the index.
    case done(LayerIndexBytes)
}
