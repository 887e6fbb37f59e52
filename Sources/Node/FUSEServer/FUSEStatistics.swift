public import Base

/// What has been asked and answered since the server was made.
public final class FUSEStatistics: Sendable {
    public let lookups = Counter()
    public let attributes = Counter()
    public let links = Counter()
    public let listings = Counter()
    public let extendedAttributes = Counter()
    /// READ requests, those that waited among them.
    public let reads = Counter()
    public let readBytes = Counter()
    /// Reads that found something missing and waited for it.
    public let parked = Counter()
    /// Reads that were given up while they waited, because the reader was killed.
    public let interrupted = Counter()
    /// Requests that were answered with EIO.
    public let failures = Counter()
}
