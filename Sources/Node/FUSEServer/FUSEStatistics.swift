public import Base

/// Counters of requests and replies since the server was created.
public final class FUSEStatistics: Sendable {
    public let lookups = Counter()
    public let attributes = Counter()
    public let links = Counter()
    public let listings = Counter()
    public let extendedAttributes = Counter()
    /// READ requests, including those that waited.
    public let reads = Counter()
    public let readBytes = Counter()
    /// Reads that missed and waited.
    public let parked = Counter()
    /// Waiting reads that were dropped because the reader was killed.
    public let interrupted = Counter()
    /// Requests that got EIO.
    public let failures = Counter()
}
