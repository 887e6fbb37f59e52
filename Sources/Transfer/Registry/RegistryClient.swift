import AsyncHTTPClient
import Base
public import Logging
import NIOHTTP1

/// Reads from registries: manifests, and ranges of blobs.
///
/// One for the whole process. Connections, tokens, redirects and what is known of hosts are shared by all images and
/// layers. Mirrors and TLS come from containerd's `hosts.toml` directories, credentials from a ``CredentialSource``.
/// Call ``shutdown()`` before letting go of it.
public final class RegistryClient: Sendable {
    private struct State {
        var authorizers: [AuthorizerKey: Authorizer] = [:]
        var permits: [String: Permits] = [:]
        var health = HostHealth()
        /// Upstreams that have answered the referrers API.
        var referrers: Set<String> = []
    }

    private struct AuthorizerKey: Hashable {
        var host: RegistryHost
        var upstream: String
    }

    public let configuration: RegistryConfiguration
    /// What has been done so far.
    public let counters = RegistryCounters()

    let transport: HTTPTransport
    let logger: Logger
    let memory = Guarded(BlobHints())
    private let directory: HostDirectory
    private let state = Guarded(State())

    var clock: RegistryClock { configuration.clock }
    /// How often one body may be taken up again, progress or not.
    let maximumResumes = 64

    public init(_ configuration: RegistryConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        transport = HTTPTransport(configuration, counters: counters, logger: logger)
        directory = HostDirectory(configuration.hostDirectories, clock: configuration.clock, logger: logger)
    }

    /// HTTP requests sent so far, of every kind.
    public var requestCount: UInt64 { counters.requests.value }
    /// Body bytes of blobs received so far.
    public var bytesReceived: UInt64 { counters.bytes.value }

    /// Closes all connections; requests in flight fail with code `shutDown`, and so does whatever comes later.
    public func shutdown() async {
        await transport.shutdown()
    }

    /// The hosts of an upstream in the order in which they are to be tried.
    public func hosts(for upstream: String) async -> [RegistryHost] {
        await directory.hosts(for: upstream)
    }

    /// The upstreams that have a directory of their own among those of `hosts.toml`, by name.
    public func configuredUpstreams() async -> [String] {
        await directory.upstreams()
    }

    // MARK: - Trying hosts

    func makeSchedule(_ priority: RequestPriority) -> RetrySchedule {
        RetrySchedule(configuration.retry, priority: priority, now: clock.now())
    }

    /// Runs `body` with one host after the other until it succeeds: first those that are well and are not known to lack
    /// `blob`, in the order of `hosts.toml`.
    func withHosts<Result>(
        _ repository: Repository, _ capability: RegistryHost.Capabilities, _ priority: RequestPriority,
        blob: BlobLocation? = nil, _ body: (RegistryHost) async throws(RegistryError) -> Result
    ) async throws(RegistryError) -> Result {
        let usable = await directory.hosts(for: repository.host).filter { $0.capabilities.contains(capability) }
        let hosts = inOrder(usable, blob: blob)
        var schedule = makeSchedule(priority)
        guard var index = schedule.begin(hosts: hosts.count) else {
            throw RegistryError(
                .configuration, "no host of \(repository.host) is configured to be used for this request")
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
            let now = clock.now()
            note(failure, host: host, blob: blob, now: now)
            switch schedule.failed(failure, host: index, now: now, random: clock.random()) {
            case .giveUp(let error):
                throw error
            case .tryHost(let next, let delay):
                logger.debug(
                    "trying again", metadata: ["after": "\(failure)", "host": "\(hosts[next])", "ns": "\(delay)"])
                counters.retries.add()
                try await pause(delay)
                index = next
            }
        }
    }

    /// The host that is asked first for what is pulled from `upstream`; `nil` when none may be.
    func firstHost(of upstream: String) async -> RegistryHost? {
        inOrder(await directory.hosts(for: upstream).filter { $0.capabilities.contains(.pull) }, blob: nil).first
    }

    private func inOrder(_ hosts: [RegistryHost], blob: BlobLocation?) -> [RegistryHost] {
        guard hosts.count > 1 else { return hosts }
        let now = clock.now()
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

    /// Waits by the configured clock.
    func pause(_ nanoseconds: UInt64) async throws(RegistryError) {
        guard nanoseconds > 0 else { return }
        do {
            try await clock.sleep(nanoseconds)
        } catch {
            throw RegistryError(.cancelled, "cancelled while waiting to try again")
        }
    }

    // MARK: - Shared parts

    /// The one authorizer of `host` for everything behind `upstream`.
    func authorizer(_ host: RegistryHost, upstream: String) -> Authorizer {
        let key = AuthorizerKey(host: host, upstream: upstream)
        return state.withLock { state in
            if let known = state.authorizers[key] { return known }
            let made = Authorizer(
                host: host, credentials: configuration.credentials, transport: transport,
                configuration: configuration, counters: counters, logger: logger)
            // hosts.toml may change any number of times in the life of a daemon.
            if state.authorizers.count >= 1024 { state.authorizers = [:] }
            state.authorizers[key] = made
            return made
        }
    }

    /// Whether the registry is known to have the referrers API.
    func hasReferrers(_ repository: Repository) -> Bool {
        state.withLock { $0.referrers.contains(repository.host) }
    }

    /// The registry has the referrers API.
    func noteReferrers(_ repository: Repository) {
        state.withLock { state in
            if state.referrers.count >= 1024 { state.referrers = [] }
            state.referrers.insert(repository.host)
        }
    }

    /// A turn for a background body; demand needs none.
    func permit(_ upstream: String, _ priority: RequestPriority) async throws(RegistryError) -> Permit? {
        guard priority == .background else { return nil }
        let permits = state.withLock { state in
            if let known = state.permits[upstream] { return known }
            let made = Permits(configuration.backgroundStreams)
            state.permits[upstream] = made
            return made
        }
        do throws(CancellationError) {
            return try await permits.acquire()
        } catch {
            throw RegistryError(.cancelled, "cancelled while waiting for a turn", cause: error)
        }
    }
}
