import Base

/// A body whose head has arrived.
struct OpenedBody {
    var reader: BodyReader
    /// What of the blob will be read from it, from the first byte to the last; where several ranges were asked for, with
    /// what lies between them, and perhaps not all of them.
    var range: ByteRange
    var size: UInt64
    /// The base of the host that it comes from.
    var host: String
}
