public import Base
public import LayerIndex

/// A request for bytes of a blob.
public enum BlobRequest: Sendable, Equatable {
    /// The given number of bytes at the end of the blob, or the whole blob if it is smaller.
    case suffix(UInt64)
    /// A range of the blob.
    case range(ByteRange)
}

/// Data outside the blob that a format needs.
public enum LayerCompanion: Sendable, Equatable {
    /// The table of contents (TOC) in a separate TOC image. The TOC is a layer of that image. In the image's manifest,
    /// that layer's annotation `containerd.io/snapshot/stargz/layer.digest` is the digest of the layer to open.
    case externalTOC
    /// The layer's index in the image's streaming artifact: the blob with this digest.
    case index(Digest)
}

/// The next step of opening a layer.
public enum OpenStep: Sendable {
    /// A request to read bytes of the blob.
    case read(BlobRequest)
    /// A request to read all bytes of the companion.
    case readCompanion(LayerCompanion)
    /// The complete index. No step follows.
    case done(LayerIndexBytes)
}
