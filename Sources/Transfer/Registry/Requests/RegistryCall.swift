import NIOCore
import NIOHTTP1

/// One request of the distribution protocol, for any host.
struct RegistryCall {
    var repository: Repository
    var method: HTTPMethod = .GET
    /// The path below the repository: `/blobs/sha256:…`; may have a query.
    var path: String
    var accept: [String] = []
    var range: String?
    /// The position of a part, in an upload in parts.
    var contentRange: String?
    /// The request's body and its media type.
    var body: (bytes: ByteBuffer, type: String)?
}
