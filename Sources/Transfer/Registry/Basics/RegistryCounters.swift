public import Base

/// The totals of a ``RegistryClient`` since its creation.
public struct RegistryCounters: Sendable {
    /// The number of HTTP requests sent, of every kind.
    public let requests = Counter()
    /// The number of manifests and pages of lists requested, and of manifests pushed.
    public let manifestRequests = Counter()
    /// The number of requests to fetch a blob that were sent to a registry itself.
    public let blobRequests = Counter()
    /// The number of requests to the targets of redirects.
    public let redirectedRequests = Counter()
    /// The number of requests to token endpoints.
    public let tokenRequests = Counter()
    /// The number of body bytes of blobs received, including bytes that the client had to skip.
    public let bytes = Counter()
    /// The number of requests repeated after a failure.
    public let retries = Counter()
    /// The number of times that a broken body was resumed.
    public let resumes = Counter()
    /// The number of responses dropped because the server ignored the request's range.
    public let abandoned = Counter()

    init() {}
}
