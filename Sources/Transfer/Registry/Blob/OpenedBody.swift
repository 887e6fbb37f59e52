import Base

/// The open body of a response. The head of the response has arrived.
struct OpenedBody {
    var reader: BodyReader
    /// The wanted span of the blob. The span begins at the first byte that ``reader`` returns. A span of several ranges
    /// includes the bytes between the ranges. The body may end before the end of the span.
    var range: ByteRange
    /// The size of the whole blob in bytes.
    var size: UInt64
    /// The base URL of the registry host that answered or redirected the request.
    var host: String
}
