import Base

/// A body whose head has arrived.
struct OpenedBody {
    var reader: BodyReader
    /// The span of the blob that the body covers, from the first byte to the last. With several ranges it includes the
    /// gaps, and the body may end early.
    var range: ByteRange
    var size: UInt64
    /// The base of the host that sends it.
    var host: String
}
