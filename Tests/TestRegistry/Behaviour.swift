public import Base

/// The lasting behavior of a ``TestRegistry``. A failure that happens a number of times is a ``Fault``.
public struct Behaviour: Sendable {
    public enum Authentication: Sendable {
        case none
        case basic(user: String, password: String)
        /// Tokens from `/token` of the same server; anonymous ones when `user` is `nil`.
        case bearer(user: String?, password: String)
    }

    public enum Ranges: Sendable, Equatable {
        case honoured
        /// 200 with the whole blob (old proxies; ECR and S3-backed distribution in some cases).
        case ignored
        /// 200 for this number of requests, then honored (distribution behind a cold cache).
        case ignoredFirst(Int)
        /// 206 as multipart/byteranges in this number of parts, even for one range.
        case multipart(parts: Int)
        /// Suffix ranges are refused with this status (400: Azure; 416: others), explicit ones honoured.
        case suffixRefused(Int)
        /// Suffix ranges are answered with 200, explicit ones honoured.
        case suffixIgnored
        /// 206, with at most this number of the requested bytes.
        case shortened(Int)
        /// 206 for a range that begins this number of bytes later than requested.
        case shifted(Int)
        /// 206 without Content-Range.
        case unstated
        /// 206 with `bytes a-b/*`.
        case sizeless
        /// Several ranges in one request are refused with this status (Google Cloud Storage: 400).
        case severalRefused(Int)
        /// Several ranges are answered with 200 and everything (Amazon S3).
        case severalIgnored
        /// Of several ranges the first is given.
        case firstOfSeveral
    }

    /// Blobs are served by another server, by presigned URLs.
    public struct Redirect: Sendable {
        public var target: TestRegistry
        /// The lifetime that the URL names, in seconds.
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
    /// Answers are chunked instead of carrying a Content-Length.
    public var omitsContentLength = false
    /// zot before 3879: 206 without a Content-Type.
    public var omitsContentType = false
    /// The `expires_in` of a token; left out when `nil`.
    public var tokenLife: Int? = 300
    /// The token endpoint's answer to a POST; 200 means that it understands it.
    public var tokenPostStatus = 200
    /// HEAD is answered 403, as by presigned URLs of S3.
    public var refusesHead = false
    /// The part of a path before the repository.
    public var prefix = "/v2"
    /// Every blob body is wrong in one bit.
    public var corruptsBlobs = false
    /// Docker-Content-Digest of manifests says this instead of the truth.
    public var statedDigest: Digest?
    /// Location of redirects, instead of the presigned URL of ``redirect``.
    public var location: String?

    /// Lists referrers itself (OCI distribution-spec 1.1); many registries do not.
    public var hasReferrers = true
    /// Entries on a page of a list of referrers.
    public var referrersPage = 100

    /// Mounts a blob of another repository; otherwise it begins an upload instead.
    public var mounts = false

    public init() {}
}

/// Something that goes wrong with one request.
public enum Fault: Sendable {
    /// Answered with a status, headers and a short body.
    case status(Int, headers: [String: String] = [:])
    /// The connection is closed after this number of bytes of the body.
    case breakBody(after: Int)
    /// The body stalls after this number of bytes, until the registry is stopped.
    case stallBody(after: Int)
    /// Nothing comes at all, until the registry is stopped.
    case stallHead
    /// The connection is closed without an answer.
    case close
    /// One bit of the body is wrong.
    case corrupt
}

/// The purpose of a request.
public enum RequestKind: Sendable, Hashable {
    case manifest
    /// A blob at the registry.
    case blob
    /// A blob by presigned URL, at the target of a redirect.
    case storage
    case token
    /// The list of what refers to an image.
    case referrers
    /// A session of an upload: begun by POST, ended by PUT.
    case upload
    case other
}

/// A request as it arrived.
public struct RecordedRequest: Sendable {
    public var kind: RequestKind
    public var method: String
    /// Without the query.
    public var path: String
    /// Without the question mark; empty when there is none.
    public var query: String
    public var headers: [(name: String, value: String)]
    public var bytes: [UInt8]
    public var body: String { String(decoding: bytes, as: UTF8.self) }
    /// Numbers the connections of the registry in order of their first request.
    public var connection: ObjectIdentifier

    /// The first header of that name, in any case.
    public func header(_ name: String) -> String? {
        headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }

    public var range: String? { header("range") }
    public var authorization: String? { header("authorization") }
}
