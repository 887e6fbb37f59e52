public import Base

/// What a ``RegistryClient`` has done so far.
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
    /// Body bytes received that were asked for or had to be read anyway.
    public let bytes = Counter()
    /// Requests repeated after a failure.
    public let retries = Counter()
    /// Bodies that broke and were taken up again.
    public let resumes = Counter()
    /// Answers that were abandoned because the server sent what was not asked for.
    public let abandoned = Counter()

    init() {}
}
