/// What to show a registry.
public enum Credentials: Sendable, Hashable {
    /// A user and password (or personal token), for Basic and for fetching Bearer tokens.
    case password(user: String, password: Secret)
    /// An OAuth2 refresh token ("identity token" in docker's config), traded for Bearer tokens at the token endpoint.
    case refreshToken(Secret)
    /// A Bearer token to use as it is ("registry token").
    case bearer(Secret)
}

/// For whom credentials are wanted.
public struct CredentialRequest: Sendable, Hashable {
    /// The host that will see them, with its port if any: a mirror or the upstream (`registry-1.docker.io` for Docker Hub).
    public var host: String
    /// The repository, whose ``Repository/host`` is the upstream.
    public var repository: Repository
    /// The credentials given last were refused, or a token made from them ran out: look anew, do not answer from a cache.
    public var isRenewal: Bool

    public init(host: String, repository: Repository, isRenewal: Bool = false) {
        self.host = host
        self.repository = repository
        self.isRenewal = isRenewal
    }
}

/// Where credentials come from: docker's configuration file, kubelet's providers, what CRI pulls reveal.
///
/// This protocol is the one place where they all meet the client. It is asked when a registry demands authentication,
/// and again when a token has run out; tokens, not credentials, are what the client caches.
public protocol CredentialSource: Sendable {
    /// Credentials for `request`, or `nil` when this source has none: the client then goes on as anonymous.
    ///
    /// - Throws: when the source should have known but failed (a broken helper). The client logs it and goes on as
    ///   anonymous, because many images are public.
    func credentials(for request: CredentialRequest) async throws(RegistryError) -> Credentials?
}

/// No credentials at all.
public struct AnonymousCredentials: CredentialSource {
    public init() {}

    public func credentials(for request: CredentialRequest) async throws(RegistryError) -> Credentials? { nil }
}

/// The first of several sources that has an answer.
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
