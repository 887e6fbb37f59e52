import NIOCore
import NIOHTTP1

/// One request of the distribution protocol, independent of the host that receives it.
struct RegistryCall {
    var repository: Repository
    var method: HTTPMethod = .GET
    /// The path below the repository, such as `/blobs/sha256:…`, with the query if there is one.
    var path: String
    var accept: [String] = []
    /// The value of the Range header; `nil` for the whole content.
    var range: String?
    /// The value of the Content-Range header for an upload in parts: the range of the blob that the body contains.
    var contentRange: String?
    /// The request's body and its media type; `nil` for a request without a body.
    var body: (bytes: ByteBuffer, type: String)?
}
