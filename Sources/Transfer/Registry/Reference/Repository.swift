public import Base

/// A repository of a registry, as an image reference names it.
public struct Repository: Sendable, Hashable, CustomStringConvertible {
    /// The upstream host with its port if any: `docker.io`, `ghcr.io`, `127.0.0.1:5000`. Mirrors stand behind this name
    /// (`hosts.toml`), so it is not always where the bytes come from.
    public let host: String
    /// The path below the host: `library/debian`.
    public let name: String

    /// Takes the parts as they are; ``ImageReference`` is where they are checked.
    public init(host: String, name: String) {
        self.host = host
        self.name = name
    }

    public var description: String { "\(host)/\(name)" }
}

/// Where a blob can be had.
public struct BlobLocation: Sendable, Hashable, CustomStringConvertible {
    public let repository: Repository
    public let digest: Digest

    public init(repository: Repository, digest: Digest) {
        self.repository = repository
        self.digest = digest
    }

    public var description: String { "\(repository)@\(digest)" }
}

/// Which bytes of a blob.
public enum BlobSelection: Sendable, Hashable {
    /// The last so many bytes; all of them when the blob is smaller.
    case suffix(UInt64)
    /// These bytes; cut at the end of the blob.
    case range(ByteRange)
    /// These bytes, in one request where the registry can, in this order: apart from each other, none of them empty, and at
    /// most ``maximumRanges``. The blob's size must be known.
    case ranges([ByteRange])
    /// All of them.
    case whole

    /// Ranges in one request: what keeps its Range header below the 4 KiB that the smallest servers take for a line, and
    /// below the 200 ranges from which on Apache (`MaxRanges`) sends everything.
    public static let maximumRanges = 128
}

/// Who waits for a request.
public enum RequestPriority: Sendable, Hashable {
    /// Somebody is blocked on it. Never waits for a background request; transient failures are retried within the
    /// retry budget.
    case demand
    /// Nobody is. At most ``RegistryConfiguration/backgroundStreams`` at once for each registry; "leave me alone"
    /// (429, 503) is reported at once instead of retried, because the scheduler wants to know.
    case background
}
