import AsyncHTTPClient
import Base
import Concurrency
import FoundationEssentials
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// The HTTP connections to registries. Each ``Key`` has its own HTTP client with its own connection pool. The transport
/// creates each client on first use.
final class HTTPTransport: Sendable {
    /// The properties that all connections of one pool share.
    struct Key: Hashable {
        var tls: TLSSettings
        var dialTimeout: Duration?
        /// True if a request to an `http` URL tries `https` first: see ``RegistryHost/mayBeSecure``.
        var mayBeSecure = false

        /// Creates the key for connections to `host` itself.
        init(_ host: RegistryHost) {
            tls = host.tls
            dialTimeout = host.dialTimeout
            mayBeSecure = host.mayBeSecure
        }

        /// Creates the key for connections to another server that `host` names: the target of a redirect, or a token
        /// endpoint.
        init(targetOf host: RegistryHost) {
            tls = host.tls.withoutIdentity
            dialTimeout = host.dialTimeout
        }
    }

    /// The destination of a connection: an origin (scheme, host and port), and the pool through which we reach it.
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
        /// The time of the last request or connection to each place.
        var used = BoundedCache<Place, MonotonicTime>(capacity: maximumPlaces)
        /// The origins of hosts with ``RegistryHost/mayBeSecure`` that turned out to speak plain HTTP.
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

    /// Sends a request and returns when the head of the response has arrived. The caller reads the body.
    ///
    /// - Parameters:
    ///   - key: the key of the pool to use.
    ///   - sending: the size of the request's body in bytes. Each 256 KiB adds one second to the time limit for the
    ///     response's head.
    func exchange(
        _ request: HTTPClientRequest, key: Key, sending: Int = 0
    ) async throws(RegistryError) -> HTTPClientResponse {
        counters.requests.add()
        guard key.mayBeSecure, request.url.hasPrefix("http://") else {
            return try await send(request, key: key, sending: sending)
        }
        let origin = RedirectTarget.origin(of: request.url)
        if state.withLock({ $0.plain[origin] }) == nil {
            var secure = request
            secure.url = "https://" + request.url.dropFirst("http://".count)
            do throws(RegistryError) {
                return try await send(secure, key: key, sending: sending)
            } catch {
                guard Self.isPlain(error, origin: origin) else { throw error }
                logger.info("registry does not speak TLS, using plain HTTP", metadata: ["registry": "\(origin)"])
                state.withLock { $0.plain[origin] = () }
            }
        }
        do throws(RegistryError) {
            return try await send(request, key: key, sending: sending)
        } catch {
            // The server may restart with TLS, so try TLS again next time.
            state.withLock { $0.plain[origin] = nil }
            throw error
        }
    }

    /// The maximum number of entries in each of the caches `used` and `plain`. The caches need a limit, because the
    /// daemon may use any number of registries while it runs.
    private static let maximumPlaces = 1024

    /// Returns true if `error`, the error of an attempt with TLS, shows that the server at `origin` does not speak TLS.
    private static func isPlain(_ error: RegistryError, origin: String) -> Bool {
        if let cause = error.cause, TLSFailure(cause) == .notTLS { return true }
        // If the URL has no port, HTTPS and HTTP are two different servers (ports 443 and 80). It is possible that no
        // server listens on port 443.
        return origin.hasSuffix(":80") && (error.code == .connection || error.code == .timedOut)
    }

    private func send(
        _ request: HTTPClientRequest, key: Key, sending: Int
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

    /// Opens `count` connections to the server of `url`, so that later requests find them with a finished TLS
    /// handshake.
    ///
    /// The method returns at once and does not report failures to connect. It does nothing if the client used this
    /// server within the last ``idleTimeout``, because a connection is then still open. It also does nothing if
    /// ``Key/mayBeSecure`` is true.
    ///
    /// The server receives no request. The method queues one request for each connection, and cancels all of them
    /// before the first connection is usable. The HTTP client then keeps the idle connections.
    ///
    /// The HTTP client's own `preWarmedHTTP1ConnectionCount` (as of 1.37) is no substitute. That feature starts only
    /// with the first request to a server. If the registry refuses a connection, the feature retries at once and
    /// endlessly. It never closes its connections.
    func connect(_ count: Int, to url: String, key: Key) throws(RegistryError) {
        // Only a request finds out if a server with `mayBeSecure` speaks TLS. Such a server is usually on this machine,
        // so connecting is cheap.
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
        // The pool opens one connection for each queued request, so queue all of them before canceling the first.
        let queued = (0..<count).map { _ in pool.client.execute(request: request, delegate: Unwanted()) }
        for request in queued { request.cancel() }
        EventLoopFuture.whenAllComplete(queued.map(\.futureResult), on: loop).whenComplete { _ in pool.gate.release() }
    }

    /// The delegate of the requests that `connect` queues and cancels.
    private final class Unwanted: HTTPClientResponseDelegate {
        func didFinishRequest(task: HTTPClient.Task<Void>) {}
    }

    /// Records that a request or connection to the server of `url` starts now.
    ///
    /// - Returns: true if the pool has no idle connection to the server. This is the case at the first use, or if the
    ///   last use was longer ago than ``idleTimeout``.
    private func claim(_ url: String, _ key: Key) -> Bool {
        let place = Place(key: key, origin: RedirectTarget.origin(of: url))
        let now = clock.now
        return state.withLock { state in
            let last = state.used[place]
            state.used[place] = now
            return last.map { $0.duration(to: now) > Self.idleTimeout } ?? true
        }
    }

    /// The time after which the HTTP client closes an unused connection.
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
            // Create the client under the lock, so that there is never a second client to shut down. A new client
            // starts no threads and opens no sockets yet.
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
                // This timer also runs while our reader does not ask for more bytes. If the body breaks for this
                // reason, the stream resumes it.
                read: TimeAmount(max(timeouts.stall, timeouts.firstByte))),
            decompression: .disabled)
        // HTTP/2 would send every stream over one connection with windows of 64 KiB, and so use a fraction of the link.
        made.httpVersion = .http1Only
        made.connectionPool.idleTimeout = TimeAmount(Self.idleTimeout)
        made.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = connectionsPerHost
        // Report a dead mirror at once, because we have our own retries.
        made.connectionPool.retryConnectionEstablishment = false
        return made
    }

    /// Converts an error of the HTTP stack to a ``RegistryError``.
    ///
    /// - Parameter what: the failed action, for the message.
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
            return RegistryError(.shutDown, "\(what) was interrupted by the client's shutdown", cause: error)
        case .invalidURL, .emptyHost, .emptyScheme:
            return RegistryError(.malformedAnswer, "\(what): not a URL", cause: error)
        default:
            return RegistryError(.connection, "\(what) failed", cause: error)
        }
    }
}
