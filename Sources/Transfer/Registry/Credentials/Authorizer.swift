import Base
import Logging
import NIOHTTP1

/// Authenticates at one host for everybody who asks it: one token for a repository however many layers need it, and one
/// request for that token however many ask at once.
final class Authorizer: Sendable {
    private struct State {
        var cache = TokenCache()
        var fetching: [String: SharedResult<Secret?>] = [:]
    }

    private let host: RegistryHost
    private let credentials: any CredentialSource
    private let endpoint: TokenEndpoint
    private let clock: RegistryClock
    private let logger: Logger
    private let state = Guarded(State())

    init(
        host: RegistryHost, credentials: any CredentialSource, transport: HTTPTransport,
        configuration: RegistryConfiguration, counters: RegistryCounters, logger: Logger
    ) {
        self.host = host
        self.credentials = credentials
        endpoint = TokenEndpoint(
            host: host, transport: transport, userAgent: configuration.userAgent, counters: counters)
        clock = configuration.clock
        self.logger = logger
    }

    /// The `Authorization` value to begin with: `nil` while the host has demanded nothing. Where it is known that the host
    /// wants a token and none is at hand, one is fetched first, which saves a round trip.
    func header(for repository: Repository) async throws(RegistryError) -> Secret? {
        let now = clock.now()
        let (header, demand) = state.withLock {
            ($0.cache.header(repository: repository.name, now: now), $0.cache.demand)
        }
        if let header { return header }
        guard demand != nil else { return nil }
        return try await renew(repository, isRenewal: false)
    }

    /// The host answered 401 to a request that carried `used`: the value to try again with, or `nil` when there is nothing
    /// better to show.
    func header(
        for repository: Repository, afterChallenge challenges: [AuthChallenge], used: Secret?
    ) async throws(RegistryError) -> Secret? {
        let now = clock.now()
        let (isUnderstood, other) = state.withLock { state -> (Bool, Secret?) in
            if let used { state.cache.forget(used, repository: repository.name) }
            let understood = state.cache.learn(challenges, repository: repository.name)
            return (understood, state.cache.header(repository: repository.name, now: now))
        }
        // Somebody else has renewed it meanwhile.
        if let other { return other }
        guard isUnderstood else {
            throw RegistryError(
                .unauthorized, "\(host) demands an authentication that is not understood", status: 401)
        }
        return try await renew(repository, isRenewal: used != nil)
    }

    private func renew(_ repository: Repository, isRenewal: Bool) async throws(RegistryError) -> Secret? {
        let (shared, isFirst) = state.withLock { state -> (SharedResult<Secret?>, Bool) in
            if let running = state.fetching[repository.name] { return (running, false) }
            let shared = SharedResult<Secret?>()
            state.fetching[repository.name] = shared
            return (shared, true)
        }
        if isFirst {
            // A task of its own: the one who began it may be cancelled while others wait for the same token. It ends by
            // itself, because helpers and requests are bounded.
            Task {
                let result: Result<Secret?, RegistryError>
                do throws(RegistryError) {
                    result = .success(try await self.fetch(repository, isRenewal: isRenewal))
                } catch {
                    result = .failure(error)
                }
                self.state.withLock { _ = $0.fetching.removeValue(forKey: repository.name) }
                shared.finish(result)
            }
        }
        return try await shared.wait()
    }

    private func fetch(_ repository: Repository, isRenewal: Bool) async throws(RegistryError) -> Secret? {
        let request = CredentialRequest(host: host.authority, repository: repository, isRenewal: isRenewal)
        var found: Credentials?
        do throws(RegistryError) {
            found = try await credentials.credentials(for: request)
        } catch {
            logger.warning(
                "credentials are not available, going on as anonymous",
                metadata: ["registry": "\(host.authority)", "error": "\(error)"])
        }
        guard let demand = state.withLock({ $0.cache.demand }) else { return nil }
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
            expires = clock.now().advanced(by: token.usableFor)
        }
        let now = clock.now()
        let end = expires
        state.withLock { $0.cache.store(header, repository: repository.name, expires: end, now: now) }
        return header
    }
}
