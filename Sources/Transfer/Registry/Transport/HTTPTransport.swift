import AsyncHTTPClient
import Base
import Concurrency
import FoundationEssentials
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// The connections: one HTTP client, hence one pool, for each way of doing TLS, made when first needed.
final class HTTPTransport: Sendable {
    /// What cannot be shared between two connections of one pool.
    struct Key: Hashable {
        var tls: TLSSettings
        var dialTimeout: Duration?
        /// A URL with `http` may mean `https`: see ``RegistryHost/mayBeSecure``.
        var mayBeSecure = false

        /// For `host` itself.
        init(_ host: RegistryHost) {
            tls = host.tls
            dialTimeout = host.dialTimeout
            mayBeSecure = host.mayBeSecure
        }

        /// For another place that `host` names: where it redirects to, or gives its tokens.
        init(targetOf host: RegistryHost) {
            tls = host.tls.withoutIdentity
            dialTimeout = host.dialTimeout
        }
    }

    /// Where the connections of one pool lead.
    private struct Place: Hashable {
        var key: Key
        var origin: String
    }

    private struct Pool {
        let client: HTTPClient
        let gate: ConnectionGate
    }

    private struct State {
        var pools: [Key: Pool] = [:]
        /// When the last request was sent to a place.
        var used = BoundedCache<Place, MonotonicTime>(capacity: maximumPlaces)
        /// Places that may be secure and have turned out not to be.
        var plain = BoundedCache<String, Void>(capacity: maximumPlaces)
        var isShutDown = false
    }

    private let state = Guarded(State())
    private let timeouts: RegistryTimeouts
    private let connectionsPerHost: Int
    private let clock: any TimeSource
    private let counters: RegistryCounters
    private let logger: Logger

    init(
        timeouts: RegistryTimeouts, connectionsPerHost: Int, clock: any TimeSource, counters: RegistryCounters,
        logger: Logger
    ) {
        self.timeouts = timeouts
        self.connectionsPerHost = connectionsPerHost
        self.clock = clock
        self.counters = counters
        self.logger = logger
    }

    /// One request, one answer: returns when the head has arrived, leaves the body to be read. `sending` is how many bytes
    /// the request's own body has: they may take their time, a second for each 256 KiB.
    func exchange(
        _ request: HTTPClientRequest, key: Key, sending: Int = 0
    ) async throws(RegistryError) -> HTTPClientResponse {
        counters.requests.add()
        guard key.mayBeSecure, request.url.hasPrefix("http://") else {
            return try await send(request, key, sending)
        }
        let origin = RedirectTarget.origin(of: request.url)
        if state.withLock({ $0.plain[origin] }) == nil {
            var secure = request
            secure.url = "https://" + request.url.dropFirst("http://".count)
            do throws(RegistryError) {
                return try await send(secure, key, sending)
            } catch {
                guard Self.isPlain(error, origin: origin) else { throw error }
                logger.info("a registry does not speak TLS: going on without", metadata: ["registry": "\(origin)"])
                state.withLock { $0.plain[origin] = () }
            }
        }
        do throws(RegistryError) {
            return try await send(request, key, sending)
        } catch {
            // It may come back as another one.
            state.withLock { $0.plain[origin] = nil }
            throw error
        }
    }

    /// Places that are remembered: any number of registries may come and go in the life of a daemon.
    private static let maximumPlaces = 1024

    /// Whether `error`, of a try with TLS, says that there is none.
    private static func isPlain(_ error: RegistryError, origin: String) -> Bool {
        if let cause = error.cause, TLSFailure(cause) == .notTLS { return true }
        // Without a port in the URL the two are different servers.
        return origin.hasSuffix(":80") && (error.code == .connection || error.code == .timedOut)
    }

    private func send(
        _ request: HTTPClientRequest, _ key: Key, _ sending: Int
    ) async throws(RegistryError) -> HTTPClientResponse {
        let pool = try pool(for: key)
        _ = claim(request.url, key)
        let wait = timeouts.connect + timeouts.firstByte + .seconds(sending / (256 << 10))
        do {
            return try await pool.client.execute(request, deadline: .now() + TimeAmount(wait))
        } catch {
            let place = "request to \(request.url.withoutQuery)"
            if let failure = TLSFailure(error) { throw failure.error(at: place, tls: key.tls, cause: error) }
            throw Self.translate(error, doing: place)
        }
    }

    /// Opens `count` connections to the place of `url` for requests to come, which then find them with their TLS handshake done.
    /// Returns at once; what fails is silent. Nothing is done where a request was sent of late, which has left its connection
    /// open.
    ///
    /// No request is sent: as many are queued as connections are wanted, and taken back before the first of these can be used.
    /// The HTTP client goes on connecting and keeps an idle connection as any other. Its own `preWarmedHTTP1ConnectionCount`
    /// (as of 1.37) is of no use here: it begins with a place's first request, begins anew at once and without end where the
    /// registry refuses, and never lets go.
    func connect(_ count: Int, to url: String, key: Key) throws(RegistryError) {
        // Whether such a place speaks TLS only a request tells; it is on this machine.
        guard !key.mayBeSecure, claim(url, key) else { return }
        let pool = try pool(for: key)
        let request: HTTPClient.Request
        do {
            request = try HTTPClient.Request(url: url)
        } catch {
            throw Self.translate(error, doing: "connecting to \(url.withoutQuery)")
        }
        let loop = pool.client.eventLoopGroup.any()
        pool.gate.hold(on: loop)
        // The pool connects for those that wait: all are queued before the first is taken back.
        let queued = (0..<count).map { _ in pool.client.execute(request: request, delegate: Unwanted()) }
        for request in queued { request.cancel() }
        EventLoopFuture.whenAllComplete(queued.map(\.futureResult), on: loop).whenComplete { _ in pool.gate.release() }
    }

    /// The answer to a request that was taken back.
    private final class Unwanted: HTTPClientResponseDelegate {
        func didFinishRequest(task: HTTPClient.Task<Void>) {}
    }

    /// Notes that `url` is used now.
    ///
    /// - Returns: whether it has not been for so long that no idle connection is left.
    private func claim(_ url: String, _ key: Key) -> Bool {
        let place = Place(key: key, origin: RedirectTarget.origin(of: url))
        let now = clock.now
        return state.withLock { state in
            let last = state.used[place]
            state.used[place] = now
            return last.map { $0.duration(to: now) > Self.idleTimeout } ?? true
        }
    }

    /// The time for which a connection is kept that nobody uses.
    private static let idleTimeout: Duration = .seconds(60)

    /// Closes every connection. Requests in flight fail.
    func shutdown() async {
        let pools = state.withLock { state -> [Pool] in
            state.isShutDown = true
            defer { state.pools = [:] }
            return Array(state.pools.values)
        }
        for pool in pools {
            do {
                try await pool.client.shutdown()
            } catch {
                logger.debug("HTTP client did not shut down cleanly", metadata: ["error": "\(error)"])
            }
        }
    }

    private func pool(for key: Key) throws(RegistryError) -> Pool {
        let found = state.withLock { $0.isShutDown ? nil : $0.pools[key] }
        if let found { return found }
        var made = try makeConfiguration(key)
        let gate = ConnectionGate()
        made.http1_1ConnectionDebugInitializer = { gate.passed(by: $0) }
        let configuration = made
        let pool: Pool? = state.withLock { state in
            guard !state.isShutDown else { return nil }
            if let other = state.pools[key] { return other }
            // Made under the lock so that no second one has to be shut down again: it only starts no threads and
            // opens no sockets yet.
            let client = HTTPClient(
                eventLoopGroup: MultiThreadedEventLoopGroup.singleton, configuration: configuration)
            let pool = Pool(client: client, gate: gate)
            state.pools[key] = pool
            return pool
        }
        guard let pool else { throw RegistryError(.shutDown, "the registry client has been shut down") }
        return pool
    }

    private func makeConfiguration(_ key: Key) throws(RegistryError) -> HTTPClient.Configuration {
        var made = HTTPClient.Configuration(
            tlsConfiguration: try key.tls.makeConfiguration(),
            redirectConfiguration: .disallow,
            timeout: .init(
                connect: TimeAmount(key.dialTimeout ?? timeouts.connect),
                // Also runs while the reader does not read: a body that is broken off so is simply taken up again.
                read: TimeAmount(max(timeouts.stall, timeouts.firstByte))),
            decompression: .disabled)
        // HTTP/2 would put every stream through one connection with 64 KiB windows: a fraction of the link.
        made.httpVersion = .http1Only
        made.connectionPool.idleTimeout = TimeAmount(Self.idleTimeout)
        made.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = connectionsPerHost
        // A dead mirror must fail at once: trying again is our own business.
        made.connectionPool.retryConnectionEstablishment = false
        return made
    }

    /// Our error for one of the HTTP stack's.
    static func translate(_ error: any Error, doing what: String) -> RegistryError {
        if let error = error as? RegistryError { return error }
        if Task.isCancelled || error is CancellationError {
            return RegistryError(.cancelled, "\(what) was cancelled")
        }
        guard let error = error as? HTTPClientError else {
            return RegistryError(.connection, "\(what) failed", cause: error)
        }
        switch error {
        case .connectTimeout, .deadlineExceeded, .readTimeout, .writeTimeout, .tlsHandshakeTimeout,
            .getConnectionFromPoolTimeout:
            return RegistryError(.timedOut, "\(what) made no progress in time", cause: error)
        case .cancelled, .alreadyShutdown:
            return RegistryError(.shutDown, "\(what) was cut off by the client's shutdown", cause: error)
        case .invalidURL, .emptyHost, .emptyScheme:
            return RegistryError(.malformedAnswer, "\(what): not a URL", cause: error)
        default:
            return RegistryError(.connection, "\(what) failed", cause: error)
        }
    }
}
