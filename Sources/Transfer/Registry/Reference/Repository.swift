public import Base

/// A repository of a registry, as in an image reference.
public struct Repository: Sendable, Hashable, CustomStringConvertible {
    /// The upstream host with its port if any: `docker.io`, `ghcr.io`, `127.0.0.1:5000`. Mirrors hide behind this name
    /// (`hosts.toml`), so the bytes may come from elsewhere.
    public let host: String
    /// The path below the host: `library/debian`.
    public let name: String

    /// Stores the parts unchecked; ``ImageReference`` checks them.
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
    /// The last bytes, as many as given; all of a smaller blob.
    case suffix(UInt64)
    /// One range, cut at the end of the blob.
    case range(ByteRange)
    /// Disjoint, nonempty ranges in this order, at most ``maximumRanges``, in one request if the registry supports it.
    /// The blob's size must be known.
    case ranges([ByteRange])
    /// The whole blob.
    case whole

    /// The most ranges in one request. It keeps the Range header below 4 KiB, the line limit of the smallest servers,
    /// and below 200 ranges, from where on Apache (`MaxRanges`) sends everything.
    public static let maximumRanges = 128
}

/// The urgency of a request.
public enum RequestPriority: Sendable, Hashable {
    /// A reader is blocked on it. It never waits for a background request. Transient failures are retried within the
    /// retry budget.
    case demand
    /// No reader is blocked on it. At most ``RegistryConfiguration/backgroundStreams`` run at once for each registry.
    /// Throttling (429, 503) is reported at once instead of retried, because the scheduler acts on it.
    case background
}
