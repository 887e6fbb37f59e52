import Base

/// The open body of a response. The head of the response has arrived.
struct OpenedBody {
    var reader: BodyReader
    /// The wanted span of the blob. It begins at the first byte that ``reader`` returns. With several ranges it
    /// includes the bytes between them. The body may end before the span does.
    var range: ByteRange
    /// The size of the whole blob in bytes.
    var size: UInt64
    /// The base URL of the registry host that answered or redirected the request.
    var host: String
}
