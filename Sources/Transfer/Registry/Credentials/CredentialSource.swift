/// Credentials for a registry.
public enum Credentials: Sendable, Hashable {
    /// A user and a password (or personal access token). The client uses them for Basic authentication, and to fetch
    /// Bearer tokens.
    case password(user: String, password: Secret)
    /// An OAuth2 refresh token ("identity token" in docker's configuration). The client exchanges it for Bearer tokens
    /// at the token endpoint.
    case refreshToken(Secret)
    /// A Bearer token ("registry token" in docker's configuration). The client sends it unchanged.
    case bearer(Secret)
}

/// A request for credentials: the host that demands them, and the requested repository.
public struct CredentialRequest: Sendable, Hashable {
    /// The host that demands the credentials, with its port if any: a mirror, or the registry itself
    /// (`registry-1.docker.io` for Docker Hub).
    public var host: String
    /// The requested repository. Its ``Repository/host`` names the registry itself (`docker.io` for Docker Hub), even
    /// if ``host`` is a mirror.
    public var repository: Repository
    /// True if the host refused the last credentials, or a token that we obtained with them. The source must then look
    /// the credentials up again, and not answer from a cache.
    public var isRenewal: Bool

    public init(host: String, repository: Repository, isRenewal: Bool = false) {
        self.host = host
        self.repository = repository
        self.isRenewal = isRenewal
    }
}

/// A source of credentials: docker's configuration file, kubelet's providers, or the credentials of CRI pulls.
///
/// The client asks a source when a registry demands authentication. The client asks again when a token has expired, or
/// when the registry refused the last credentials. The client does not cache the credentials. It caches only the
/// `Authorization` header that it made from the credentials.
public protocol CredentialSource: Sendable {
    /// Returns credentials for `request`, or `nil` if this source has none. The client then continues anonymously.
    ///
    /// - Throws: an error if the source failed, for example because a helper program is broken. The client logs the
    ///   error and continues anonymously, because many images are public.
    func credentials(for request: CredentialRequest) async throws(RegistryError) -> Credentials?
}

/// A source without credentials.
public struct AnonymousCredentials: CredentialSource {
    public init() {}

    public func credentials(for request: CredentialRequest) async throws(RegistryError) -> Credentials? { nil }
}

/// A source that asks several sources in order, and returns the first credentials. If no source has credentials and at
/// least one source failed, the chain throws the last error.
public struct CredentialChain: CredentialSource {
    private let sources: [any CredentialSource]

    public init(_ sources: [any CredentialSource]) {
        self.sources = sources
    }

    public func credentials(for request: CredentialRequest) async throws(RegistryError) -> Credentials? {
        var failure: RegistryError?
        for source in sources {
            do {
                if let found = try await source.credentials(for: request) { return found }
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return nil
    }
}
