import Base

/// A body of a response whose head has arrived.
struct OpenedBody {
    var reader: BodyReader
    /// The span of the blob that the body covers, from its first byte to its last. With several ranges the span
    /// includes the gaps. The body may end before the span does.
    var range: ByteRange
    var size: UInt64
    /// The base URL of the registry host that answered or redirected the request.
    var host: String
}
