import Base
import Concurrency
import Logging
import NIOHTTP1

/// The authentication at one host. All requests to the host for one upstream (the registry that an image's name states)
/// share one authorizer. The authorizer caches one `Authorization` value per repository. If several tasks need the same
/// token, the authorizer fetches the token once.
final class Authorizer: Sendable {
    private let host: RegistryHost
    private let credentials: any CredentialSource
    private let endpoint: TokenEndpoint
    private let clock: any TimeSource
    private let logger: Logger
    private let cache = Guarded(TokenCache())
    private let fetches = SingleFlight<String, Result<Secret?, RegistryError>>()

    init(
        host: RegistryHost, credentials: any CredentialSource, transport: HTTPTransport, userAgent: String,
        clock: any TimeSource, counters: RegistryCounters, logger: Logger
    ) {
        self.host = host
        self.credentials = credentials
        endpoint = TokenEndpoint(host: host, transport: transport, userAgent: userAgent, counters: counters)
        self.clock = clock
        self.logger = logger
    }

    /// Returns the `Authorization` value for the first attempt of a request. Returns `nil` if the host has not demanded
    /// authentication yet. Also returns `nil` if the host demands Basic authentication, but the credential source has
    /// neither a password nor a Bearer token.
    ///
    /// If the host has demanded authentication before and no value is cached, the method obtains a value. That saves
    /// the round trip of another 401 response.
    func header(for repository: Repository) async throws(RegistryError) -> Secret? {
        let now = clock.now
        let (header, demand) = cache.withLock { ($0.header(repository: repository.name, now: now), $0.demand) }
        if let header { return header }
        guard demand != nil else { return nil }
        return try await renew(repository, isRenewal: false)
    }

    /// Returns the `Authorization` value for the retry of a refused request. Returns `nil` if the host demands Basic
    /// authentication, but the credential source has neither a password nor a Bearer token.
    ///
    /// - Parameters:
    ///   - challenges: the challenges in the host's 401 response.
    ///   - used: the `Authorization` value of the refused request; `nil` if the request had none.
    /// - Throws: `unauthorized` if the client supports none of the challenges, unless another task has cached a newer
    ///   value. The method also throws the errors of the token endpoint.
    func header(
        for repository: Repository, afterChallenge challenges: [AuthChallenge], used: Secret?
    ) async throws(RegistryError) -> Secret? {
        let now = clock.now
        let (isUnderstood, other) = cache.withLock { cache -> (Bool, Secret?) in
            if let used { cache.forget(used, repository: repository.name) }
            let understood = cache.learn(challenges, repository: repository.name)
            return (understood, cache.header(repository: repository.name, now: now))
        }
        // Another task has renewed the token in the meantime.
        if let other { return other }
        guard isUnderstood else {
            throw RegistryError(
                .unauthorized, "\(host) demands an unsupported authentication scheme", status: 401)
        }
        return try await renew(repository, isRenewal: used != nil)
    }

    private func renew(_ repository: Repository, isRenewal: Bool) async throws(RegistryError) -> Secret? {
        // If the task that started the fetch is canceled, the fetch continues, because other tasks may wait for the
        // same token. It always ends, because helpers and requests have time limits.
        let outcome = await fetches.value(for: repository.name) {
            do throws(RegistryError) {
                return .success(try await self.fetch(repository, isRenewal: isRenewal))
            } catch {
                return .failure(error)
            }
        }
        guard case .value(let result) = outcome else {
            throw RegistryError(.cancelled, "cancelled while waiting for a token")
        }
        return try result.get()
    }

    private func fetch(_ repository: Repository, isRenewal: Bool) async throws(RegistryError) -> Secret? {
        let request = CredentialRequest(host: host.authority, repository: repository, isRenewal: isRenewal)
        var found: Credentials?
        do throws(RegistryError) {
            found = try await credentials.credentials(for: request)
        } catch {
            logger.warning(
                "credentials unavailable, continuing anonymously",
                metadata: ["registry": "\(host.authority)", "error": "\(error)"])
        }
        guard let demand = cache.withLock({ $0.demand }) else { return nil }
        let header: Secret
        var expires = MonotonicTime(nanoseconds: .max)
        switch (demand, found) {
        case (_, .bearer(let token)):
            header = Secret("Bearer " + token.reveal())
        case (.basic, .password(let user, let password)):
            header = BasicCredentials.header(user: user, password: password)
        case (.basic, _):
            return nil
        case (.bearer(let realm, let service, let scopes), _):
            let token = try await endpoint.fetch(
                realm: realm, service: service,
                scopes: TokenCache.scopes(repository: repository.name, challenged: scopes[repository.name]),
                credentials: found)
            header = Secret("Bearer " + token.text.reveal())
            expires = clock.now.advanced(by: token.usableFor)
        }
        let end = expires
        cache.withLock { $0.store(header, repository: repository.name, expires: end) }
        return header
    }
}
