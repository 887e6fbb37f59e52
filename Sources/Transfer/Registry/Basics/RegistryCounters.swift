public import Base

/// The totals of a ``RegistryClient`` since its creation.
public struct RegistryCounters: Sendable {
    /// The number of HTTP requests sent, of every kind.
    public let requests = Counter()
    /// The number of requests that fetch a manifest, push a manifest, or fetch a page of a list (tags or referrers).
    public let manifestRequests = Counter()
    /// The number of requests to registry hosts for the content or the size of a blob. Requests to the targets of
    /// redirects are not included.
    public let blobRequests = Counter()
    /// The number of requests to servers other than the registry host: the targets of redirects, and upload URLs on
    /// other servers. Requests to token endpoints are not included.
    public let redirectedRequests = Counter()
    /// The number of requests to token endpoints.
    public let tokenRequests = Counter()
    /// The number of received bytes of blob bodies, including bytes that the client discarded to reach the wanted
    /// range.
    public let bytes = Counter()
    /// The number of retries of failed requests, at the same or another host. Resumed bodies are not included.
    public let retries = Counter()
    /// The number of times that the client resumed a broken body.
    public let resumes = Counter()
    /// The number of whole-blob responses that the client dropped. The usual cause is a server that ignored the
    /// requested range. Responses to requests for a blob's size are not included.
    public let abandoned = Counter()

    init() {}
}
