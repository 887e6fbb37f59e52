public import Base

/// The counters of requests and replies since the server was created.
public final class FUSEStatistics: Sendable {
    public let lookups = Counter()
    public let attributes = Counter()
    public let links = Counter()
    public let listings = Counter()
    public let extendedAttributes = Counter()
    /// The number of READ requests, including those that waited.
    public let reads = Counter()
    public let readBytes = Counter()
    /// The number of reads that were parked because chunks were missing. A read counts once, even if it must wait again
    /// after a retry.
    public let parked = Counter()
    /// The number of waiting reads that the server answered with EINTR because the reader was dying.
    public let interrupted = Counter()
    /// The number of requests for which the file system returned an I/O error (EIO).
    public let failures = Counter()
}
