public import Base

/// The totals of a ``RegistryClient`` since its creation.
public struct RegistryCounters: Sendable {
    /// The number of HTTP requests sent, of every kind.
    public let requests = Counter()
    /// The number of requests for manifests and pages of lists, and of pushes of manifests.
    public let manifestRequests = Counter()
    /// The number of requests for a blob or its size that the client sent to a registry host. Requests to the targets
    /// of redirects are not included.
    public let blobRequests = Counter()
    /// The number of requests to other servers that a registry named: targets of redirects and of uploads.
    public let redirectedRequests = Counter()
    /// The number of requests to token endpoints.
    public let tokenRequests = Counter()
    /// The number of received bytes of blob bodies, including bytes that the client skipped.
    public let bytes = Counter()
    /// The number of further attempts after a failure, at the same or another host.
    public let retries = Counter()
    /// The number of times that the client resumed a broken body.
    public let resumes = Counter()
    /// The number of responses with a whole blob that the client dropped, usually because the server ignored the
    /// request's range.
    public let abandoned = Counter()

    init() {}
}
