import NIOCore
import NIOHTTP1

/// One request of the distribution protocol, for any host.
struct RegistryCall {
    var repository: Repository
    var method: HTTPMethod = .GET
    /// The path below the repository, such as `/blobs/sha256:…`, with a query if any.
    var path: String
    var accept: [String] = []
    var range: String?
    /// The range of a part within the blob, for an upload in parts.
    var contentRange: String?
    /// The request's body and its media type; `nil` for a request without a body.
    var body: (bytes: ByteBuffer, type: String)?
}
