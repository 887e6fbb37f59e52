public import Base

/// A repository of a registry, as an image reference names it.
public struct Repository: Sendable, Hashable, CustomStringConvertible {
    /// The upstream host with its port if any: `docker.io`, `ghcr.io`, `127.0.0.1:5000`. `hosts.toml` may configure
    /// mirrors for it, so the bytes may come from another host.
    public let host: String
    /// The path below the host: `library/debian`.
    public let name: String

    /// Creates a repository without checking the parts. ``ImageReference`` checks them.
    public init(host: String, name: String) {
        self.host = host
        self.name = name
    }

    public var description: String { "\(host)/\(name)" }
}

/// A blob in a repository.
public struct BlobLocation: Sendable, Hashable, CustomStringConvertible {
    public let repository: Repository
    public let digest: Digest

    public init(repository: Repository, digest: Digest) {
        self.repository = repository
        self.digest = digest
    }

    public var description: String { "\(repository)@\(digest)" }
}

/// The requested bytes of a blob.
public enum BlobSelection: Sendable, Hashable {
    /// The last bytes, in the given number, or all bytes of a smaller blob.
    case suffix(UInt64)
    /// One range, cut at the end of the blob.
    case range(ByteRange)
    /// Disjoint, nonempty ranges in this order, at most ``maximumRanges``. The client sends them in one request if the
    /// registry supports that. It must know the blob's size.
    case ranges([ByteRange])
    /// The whole blob.
    case whole

    /// The most ranges in one request.
    ///
    /// The limit keeps the Range header below 4 KiB, the line limit of the smallest servers. It also stays below the
    /// 200 ranges from which on Apache (`MaxRanges`) sends the whole blob.
    public static let maximumRanges = 128
}

/// The urgency of a request.
public enum RequestPriority: Sendable, Hashable {
    /// A reader waits for the request. The request never waits for a background request. The client retries transient
    /// failures within the retry budget.
    case demand
    /// No reader waits for the request. For each upstream, at most ``RegistryConfiguration/backgroundStreams`` run at
    /// once. The client reports throttling (429, 503) at once instead of retrying, because the scheduler acts on it.
    case background
}
