public import Base

/// A repository of a registry, as an image reference names it.
public struct Repository: Sendable, Hashable, CustomStringConvertible {
    /// The host of the registry (the upstream), with the port if any: `docker.io`, `ghcr.io`, `127.0.0.1:5000`.
    /// `hosts.toml` may configure mirrors of the upstream, so the bytes may come from another host.
    public let host: String
    /// The path below the host: `library/debian`.
    public let name: String

    /// Creates a repository without checking the parts. ``ImageReference/init(parsing:)`` checks them.
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
    /// The given number of bytes at the end of the blob, or all bytes of a smaller blob.
    case suffix(UInt64)
    /// One range. If it extends beyond the end of the blob, the client truncates it there.
    case range(ByteRange)
    /// Several ranges in the order in which the caller wants them. The ranges must be disjoint, not empty, and within
    /// the blob. There may be at most ``maximumRanges``. The client must know the blob's size, from the caller or from
    /// an earlier request. The client requests all ranges at once if the registry supports that.
    case ranges([ByteRange])
    /// The whole blob.
    case whole

    /// The maximum number of ranges in one request.
    ///
    /// For blobs smaller than 100 TB, this limit keeps the Range header below 4 KiB, the line limit of the smallest
    /// servers. It is also below the limit of Apache, which sends the whole blob for more than 200 ranges
    /// (`MaxRanges`).
    public static let maximumRanges = 128
}

/// The urgency of a request.
public enum RequestPriority: Sendable, Hashable {
    /// The priority if a reader waits for the request. The request never waits for a background request. The client
    /// retries transient failures within the limits of ``RetryPolicy``.
    case demand
    /// The priority if no reader waits for the request. For each upstream, at most
    /// ``RegistryConfiguration/backgroundStreams`` such requests run at once. The client reports throttling (429, 503)
    /// instead of retrying, so that the caller can slow down all background requests.
    case background
}
