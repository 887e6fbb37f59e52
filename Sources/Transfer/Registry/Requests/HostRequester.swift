import AsyncHTTPClient
import Base
import Concurrency
import Logging
import NIOHTTP1

/// A sender of requests to the hosts of a registry. It chooses the host, authenticates, follows redirects and retries.
final class HostRequester: Sendable {
    private struct State {
        // This cache has a limit, because hosts.toml can change any number of times while the daemon runs.
        var authorizers = BoundedCache<AuthorizerKey, Authorizer>(capacity: 1024)
        var turns: [String: AsyncSemaphore] = [:]
        var health = HostHealth()
    }

    private struct AuthorizerKey: Hashable {
        var host: RegistryHost
        var upstream: String
    }

    let configuration: RegistryConfiguration
    let counters = RegistryCounters()
    let transport: HTTPTransport
    let logger: Logger
    let memory = Guarded(BlobHints())
    let directory: HostDirectory
    private let state = Guarded(State())

    var clock: any TimeSource { configuration.clock }
    /// The maximum number of times that one ``BlobStream/Iterator`` resumes a broken body. Unlike the number of retry
    /// rounds, this count does not restart when bytes arrive.
    let maximumResumes = 64

    init(_ configuration: RegistryConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        transport = HTTPTransport(
            timeouts: configuration.timeouts,
            connectionsPerHost: configuration.backgroundStreams + configuration.demandConnections,
            clock: configuration.clock, counters: counters, logger: logger)
        directory = HostDirectory(configuration.hostDirectories, clock: configuration.clock, logger: logger)
    }

    // MARK: - Trying hosts

    func makeSchedule(_ priority: RequestPriority) -> RetrySchedule {
        RetrySchedule(configuration.retry, priority: priority, now: clock.now)
    }

    /// Runs `body` with one host after another until `body` succeeds, and returns its result. ``RetrySchedule`` decides
    /// which host is next, and which error the method throws if `body` never succeeds.
    ///
    /// The method tries the hosts in the order of `hosts.toml`. Hosts that recently failed or recently lacked `blob`
    /// come last.
    ///
    /// - Parameters:
    ///   - capability: the capability that a host needs.
    ///   - blob: the requested blob; `nil` for other requests.
    func withHosts<Result>(
        of repository: Repository, for capability: RegistryHost.Capabilities, priority: RequestPriority,
        blob: BlobLocation? = nil, _ body: (RegistryHost) async throws(RegistryError) -> Result
    ) async throws(RegistryError) -> Result {
        let usable = await directory.hosts(for: repository.host).filter { $0.capabilities.contains(capability) }
        let hosts = inOrder(usable, blob: blob)
        var schedule = makeSchedule(priority)
        guard var index = schedule.begin(hosts: hosts.count) else {
            throw RegistryError(
                .configuration, "no host of \(repository.host) has the capability for this request: check hosts.toml")
        }
        while true {
            let host = hosts[index]
            let failure: RegistryError
            do throws(RegistryError) {
                let result = try await body(host)
                state.withLock { $0.health.succeeded(host.base) }
                return result
            } catch {
                failure = error
            }
            let now = clock.now
            note(failure, host: host, blob: blob, now: now)
            switch schedule.failed(failure, host: index, now: now, random: configuration.random()) {
            case .giveUp(let error):
                throw error
            case .tryHost(let next, let delay):
                logger.debug(
                    "retrying", metadata: ["after": "\(failure)", "host": "\(hosts[next])", "delay": "\(delay)"])
                counters.retries.add()
                try await pause(delay)
                index = next
            }
        }
    }

    /// Returns the first host to try for pulls from `upstream`, or `nil` if no host allows pulls.
    func firstHost(of upstream: String) async -> RegistryHost? {
        inOrder(await directory.hosts(for: upstream).filter { $0.capabilities.contains(.pull) }, blob: nil).first
    }

    private func inOrder(_ hosts: [RegistryHost], blob: BlobLocation?) -> [RegistryHost] {
        guard hosts.count > 1 else { return hosts }
        let now = clock.now
        let well = state.withLock { state in hosts.map { !state.health.isInTrouble($0.base, now: now) } }
        let likely = memory.withLock { memory in
            zip(hosts, well).map { host, isWell in
                isWell && blob.map { !memory.isMissing($0, host: host.base, now: now) } ?? isWell
            }
        }
        let pairs = zip(hosts, likely)
        return pairs.filter { $0.1 }.map { $0.0 } + pairs.filter { !$0.1 }.map { $0.0 }
    }

    private func note(_ error: RegistryError, host: RegistryHost, blob: BlobLocation?, now: MonotonicTime) {
        switch error.code {
        case .connection, .timedOut:
            state.withLock { $0.health.failed(host.base, now: now) }
        case .notFound:
            guard let blob else { return }
            memory.withLock { $0.learn(missing: blob, host: host.base, until: now.advanced(by: 60_000_000_000)) }
        default: break
        }
    }

    /// Waits on the configured clock.
    func pause(_ duration: Duration) async throws(RegistryError) {
        guard duration > .zero else { return }
        do {
            try await clock.sleep(for: duration)
        } catch {
            throw RegistryError(.cancelled, "cancelled while waiting to retry")
        }
    }

    // MARK: - Shared parts

    /// Returns the authorizer for requests to `host` for `upstream`. All these requests share it.
    func authorizer(_ host: RegistryHost, upstream: String) -> Authorizer {
        let key = AuthorizerKey(host: host, upstream: upstream)
        return state.withLock { state in
            if let known = state.authorizers[key] { return known }
            let made = Authorizer(
                host: host, credentials: configuration.credentials, transport: transport,
                userAgent: configuration.userAgent, clock: clock, counters: counters, logger: logger)
            state.authorizers[key] = made
            return made
        }
    }

    /// Waits until one of the upstream's permits for background requests is free, and returns the permit. Returns `nil`
    /// at once for a demand request, which needs no permit.
    func permit(_ upstream: String, _ priority: RequestPriority) async throws(RegistryError) -> AsyncSemaphore.Permit? {
        guard priority == .background else { return nil }
        let turns = state.withLock { state in
            if let known = state.turns[upstream] { return known }
            let made = AsyncSemaphore(configuration.backgroundStreams)
            state.turns[upstream] = made
            return made
        }
        do throws(CancellationError) {
            return try await turns.acquire()
        } catch {
            throw RegistryError(.cancelled, "cancelled while waiting for a permit", cause: error)
        }
    }
}
