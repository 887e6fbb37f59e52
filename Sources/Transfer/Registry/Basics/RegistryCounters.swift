public import Base

/// Totals of a ``RegistryClient`` since its start.
public struct RegistryCounters: Sendable {
    /// HTTP requests sent, of every kind.
    public let requests = Counter()
    /// Of these, requests for manifests.
    public let manifestRequests = Counter()
    /// Of these, requests for blobs at a registry.
    public let blobRequests = Counter()
    /// Of these, requests for blobs at the target of a redirect.
    public let redirectedRequests = Counter()
    /// Of these, requests to token endpoints.
    public let tokenRequests = Counter()
    /// Body bytes received that were requested or had to be read anyway.
    public let bytes = Counter()
    /// Requests repeated after a failure.
    public let retries = Counter()
    /// Bodies that broke and were resumed.
    public let resumes = Counter()
    /// Responses dropped because the server ignored the request's range.
    public let abandoned = Counter()

    init() {}
}
