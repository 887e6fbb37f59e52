public import Base

/// The permanent behavior of a ``TestRegistry``. A ``Fault``, in contrast, happens a limited number of times.
public struct Behaviour: Sendable {
    public enum Authentication: Sendable {
        case none
        case basic(user: String, password: String)
        /// Tokens from `/token` of the same server. Anybody gets a token if `user` is `nil`.
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
        /// This status for suffix ranges (400: Azure; 416: others). Explicit ranges are honored.
        case suffixRefused(Int)
        /// 200 for suffix ranges. Explicit ranges are honored.
        case suffixIgnored
        /// 206 with at most this number of the requested bytes.
        case shortened(Int)
        /// 206 for a range that begins this number of bytes later than requested.
        case shifted(Int)
        /// 206 without Content-Range.
        case unstated
        /// 206 with `bytes a-b/*`.
        case sizeless
        /// This status for several ranges in one request (Google Cloud Storage: 400).
        case severalRefused(Int)
        /// 200 with the whole blob for several ranges in one request (Amazon S3).
        case severalIgnored
        /// 206 with only the first of several ranges.
        case firstOfSeveral
    }

    /// The redirection of blob requests to another server through presigned URLs.
    public struct Redirect: Sendable {
        public var target: TestRegistry
        /// The lifetime that the URL states, in seconds.
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
    /// True if responses are chunked and have no Content-Length.
    public var omitsContentLength = false
    /// True if responses have no Content-Type, like a 206 of zot before 3879.
    public var omitsContentType = false
    /// The `expires_in` of a token in seconds; `nil` omits it.
    public var tokenLife: Int? = 300
    /// The token endpoint's status for a POST. 200 means that the endpoint supports POST.
    public var tokenPostStatus = 200
    /// True if the server answers HEAD with 403, as S3 does for presigned URLs.
    public var refusesHead = false
    /// The part of a path before the repository.
    public var prefix = "/v2"
    /// True if every blob body has one flipped bit.
    public var corruptsBlobs = false
    /// A false Docker-Content-Digest for manifests; `nil` means the true one.
    public var statedDigest: Digest?
    /// The Location of redirects; `nil` means the presigned URL of ``redirect``.
    public var location: String?

    /// True if the registry has the referrers API (OCI distribution-spec 1.1). Many registries lack it.
    public var hasReferrers = true
    /// The most entries on one page of a list of referrers or tags.
    public var referrersPage = 100

    /// True if the registry can mount a blob of another repository. Otherwise it starts an upload.
    public var mounts = false

    public init() {}
}

/// A failure of one request.
public enum Fault: Sendable {
    /// The registry sends a response with this status, these headers and a short body.
    case status(Int, headers: [String: String] = [:])
    /// The connection closes after this number of body bytes.
    case breakBody(after: Int)
    /// The body stalls after this number of bytes, until the registry stops.
    case stallBody(after: Int)
    /// The response stalls before its first byte, until the registry stops.
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
    /// A blob at the target of a redirect, by presigned URL.
    case storage
    case token
    /// The list of an image's referrers.
    case referrers
    /// An upload session, which POST begins and PUT ends.
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
    /// The identity of the connection.
    public var connection: ObjectIdentifier

    /// Returns the value of the first header with that name in any case, or `nil` if there is none.
    public func header(_ name: String) -> String? {
        headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }

    public var range: String? { header("range") }
    public var authorization: String? { header("authorization") }
}
