import Base

/// Bytes of a blob.
struct BlobPart: Sendable {
    let bytes: [UInt8]
    /// Their place in the blob.
    let range: ByteRange
}
