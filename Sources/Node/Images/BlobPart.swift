import Base

/// A part of a blob.
struct BlobPart: Sendable {
    let bytes: [UInt8]
    /// The range of the bytes in the blob.
    let range: ByteRange
}
