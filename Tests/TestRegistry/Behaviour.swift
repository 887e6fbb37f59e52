public import Base

/// The permanent behavior of a ``TestRegistry``. A ``Fault`` happens a limited number of times.
public struct Behaviour: Sendable {
    public enum Authentication: Sendable {
        case none
        case basic(user: String, password: String)
        /// Tokens from `/token` of the same server; anonymous ones if `user` is `nil`.
        case bearer(user: String?, password: String)
    }

    public enum Ranges: Sendable, Equatable {
        case honoured
        /// 200 with the whole blob (old proxies; ECR and S3-backed distribution in some cases).
        case ignored
        /// 200 for this number of requests, then honored (distribution with a cold cache).
        case ignoredFirst(Int)
        /// 206 as multipart/byteranges with this number of parts, even for one range.
        case multipart(parts: Int)
        /// Suffix ranges are refused with this status (400: Azure; 416: others), explicit ones honored.
        case suffixRefused(Int)
        /// Suffix ranges get 200, explicit ones are honored.
        case suffixIgnored
        /// 206 with at most this number of the requested bytes.
        case shortened(Int)
        /// 206 for a range that begins this number of bytes later than requested.
        case shifted(Int)
        /// 206 without Content-Range.
        case unstated
        /// 206 with `bytes a-b/*`.
        case sizeless
        /// Several ranges in one request are refused with this status (Google Cloud Storage: 400).
        case severalRefused(Int)
        /// Several ranges get 200 and everything (Amazon S3).
        case severalIgnored
        /// Only the first of several ranges is returned.
        case firstOfSeveral
    }

    /// Another server serves the blobs through presigned URLs.
    public struct Redirect: Sendable {
        public var target: TestRegistry
        /// The URL's stated lifetime in seconds.
        public var life: Int
        /// The date in the URL, in seconds since 1970.
        public var issued: Int64
        public var status: Int

        public init(to target: TestRegistry, life: Int = 1200, issued: Int64, status: Int = 307) {
            self.target = target
            self.life = life
            self.issued = issued
            self.status = status
        }
    }

    public var authentication = Authentication.none
    public var ranges = Ranges.honoured
    public var redirect: Redirect?
    /// Responses are chunked and have no Content-Length.
    public var omitsContentLength = false
    /// zot before 3879: 206 without a Content-Type.
    public var omitsContentType = false
    /// A token's `expires_in`; absent if `nil`.
    public var tokenLife: Int? = 300
    /// The token endpoint's status for a POST; 200 means that it is supported.
    public var tokenPostStatus = 200
    /// HEAD gets 403, as with presigned URLs of S3.
    public var refusesHead = false
    /// The part of paths before the repository.
    public var prefix = "/v2"
    /// Every blob body has one flipped bit.
    public var corruptsBlobs = false
    /// The false Docker-Content-Digest of manifests.
    public var statedDigest: Digest?
    /// The Location of redirects, in place of the presigned URL of ``redirect``.
    public var location: String?

    /// True if it has the referrers API (OCI distribution-spec 1.1); many registries do not.
    public var hasReferrers = true
    /// The number of entries on a page of a list of referrers.
    public var referrersPage = 100

    /// True if a blob of another repository can be mounted; otherwise an upload starts.
    public var mounts = false

    public init() {}
}

/// A failure of one request.
public enum Fault: Sendable {
    /// A response with a status, headers and a short body.
    case status(Int, headers: [String: String] = [:])
    /// The connection closes after this number of body bytes.
    case breakBody(after: Int)
    /// No more bytes come after this number of body bytes, until the registry stops.
    case stallBody(after: Int)
    /// No bytes come at all, until the registry stops.
    case stallHead
    /// The connection closes without a response.
    case close
    /// One bit of the body is flipped.
    case corrupt
}

/// The kind of a request.
public enum RequestKind: Sendable, Hashable {
    case manifest
    /// A blob at the registry.
    case blob
    /// A blob by presigned URL, at the target of a redirect.
    case storage
    case token
    /// The list of an image's referrers.
    case referrers
    /// An upload session: begun by POST, ended by PUT.
    case upload
    case other
}

/// A request as it arrived.
public struct RecordedRequest: Sendable {
    public var kind: RequestKind
    public var method: String
    /// The path without the query.
    public var path: String
    /// The query without the question mark; empty if there is none.
    public var query: String
    public var headers: [(name: String, value: String)]
    public var bytes: [UInt8]
    public var body: String { String(decoding: bytes, as: UTF8.self) }
    /// Identifies the connection.
    public var connection: ObjectIdentifier

    /// Returns the first header with that name, in any case.
    public func header(_ name: String) -> String? {
        headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }

    public var range: String? { header("range") }
    public var authorization: String? { header("authorization") }
}
