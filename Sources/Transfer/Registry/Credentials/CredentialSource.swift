/// Credentials for a registry.
public enum Credentials: Sendable, Hashable {
    /// A user and password (or personal access token), for Basic and for fetching Bearer tokens.
    case password(user: String, password: Secret)
    /// An OAuth2 refresh token ("identity token" in docker's config), exchanged for Bearer tokens at the token
    /// endpoint.
    case refreshToken(Secret)
    /// A Bearer token that is used unchanged ("registry token").
    case bearer(Secret)
}

/// The host and repository that need credentials.
public struct CredentialRequest: Sendable, Hashable {
    /// The host that receives them, with its port if any: a mirror or the upstream (`registry-1.docker.io` for Docker
    /// Hub).
    public var host: String
    /// The repository. Its ``Repository/host`` is the upstream.
    public var repository: Repository
    /// True if the last credentials were refused, or their token expired: look them up again, do not answer from a
    /// cache.
    public var isRenewal: Bool

    public init(host: String, repository: Repository, isRenewal: Bool = false) {
        self.host = host
        self.repository = repository
        self.isRenewal = isRenewal
    }
}

/// A source of credentials: docker's configuration file, kubelet's providers, credentials from CRI pulls.
///
/// The client uses all of them through this protocol. It asks when a registry demands authentication, and again when a
/// token has expired. The client caches tokens, not credentials.
public protocol CredentialSource: Sendable {
    /// Returns credentials for `request`, or `nil` if this source has none. The client then continues anonymously.
    ///
    /// - Throws: if the source failed (a broken helper). The client logs it and continues anonymously, because many
    ///   images are public.
    func credentials(for request: CredentialRequest) async throws(RegistryError) -> Credentials?
}

/// A source without credentials.
public struct AnonymousCredentials: CredentialSource {
    public init() {}

    public func credentials(for request: CredentialRequest) async throws(RegistryError) -> Credentials? { nil }
}

/// The first answer of several sources.
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
