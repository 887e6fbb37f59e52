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
    /// The number of reads that missed and waited for chunks.
    public let parked = Counter()
    /// The number of waiting reads that were dropped because the reader died.
    public let interrupted = Counter()
    /// The number of requests that got EIO.
    public let failures = Counter()
}
