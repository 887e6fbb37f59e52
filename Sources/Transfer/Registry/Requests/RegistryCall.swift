import NIOCore
import NIOHTTP1

/// One request of the distribution protocol, to whichever host.
struct RegistryCall {
    var repository: Repository
    var method: HTTPMethod = .GET
    /// Below the repository: `/blobs/sha256:…`; may have a query.
    var path: String
    var accept: [String] = []
    var range: String?
    /// Which part of a blob is sent, in an upload in parts.
    var contentRange: String?
    /// What is sent, and its media type.
    var body: (bytes: ByteBuffer, type: String)?
}
