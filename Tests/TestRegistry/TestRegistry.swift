public import Base
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// A registry in the test process that serves content from memory, records every request, and fails on demand.
///
///     let registry = try await TestRegistry.start()
///     let image = registry.addImage(repository: "test/app", layers: [TestLayer(bytes)])
///     registry.behaviour.ranges = .ignored
///     …
///     #expect(registry.requests(.blob).count == 1)
///     await registry.stop()
///
/// It listens on its own port of 127.0.0.1 and speaks HTTP/1.1, plain or over TLS. ``withRegistry(_:_:)`` stops it even
/// if the test throws.
public final class TestRegistry: Sendable {
    struct State {
        var blobs: [Digest: [UInt8]] = [:]
        /// Keyed by `repository:reference`, where the reference is a tag or a digest.
        var manifests: [String: StoredManifest] = [:]
        var behaviour = Behaviour()
        var requests: [RecordedRequest] = []
        var injections: [Injection] = []
        var tokens: Set<String> = []
        /// The tokens that allow pushes.
        var pushTokens: Set<String> = []
        var issuedTokens = 0
        var signatures: Set<String> = []
        var issuedSignatures = 0
        var rangesIgnored = 0
        var gates: [Gate] = []
        /// The bytes of an unfinished upload that have arrived, by repository.
        var parts: [String: [UInt8]] = [:]
    }

    struct StoredManifest {
        var bytes: [UInt8]
        var mediaType: String
    }

    struct Injection {
        var fault: Fault
        var kind: RequestKind
        var digest: Digest?
        var skipping: Int
        var remaining: Int
    }

    let state = Guarded(State())
    /// The port that the registry listens on.
    public let port: Int
    private let scheme: String
    private let channel: any Channel
    private let server: Task<Void, Never>
    private let unserved: Unserved

    /// The host and port, as in a reference.
    public var host: String { "127.0.0.1:\(port)" }
    public var url: String { "\(scheme)://127.0.0.1:\(port)" }

    private init(
        channel: any Channel, port: Int, scheme: String, handler: HandlerBox, server: Task<Void, Never>,
        unserved: Unserved
    ) {
        self.unserved = unserved
        self.scheme = scheme
        self.channel = channel
        self.port = port
        self.server = server
        handler.registry.withLock { $0 = WeakRegistry(registry: self) }
    }

    struct WeakRegistry: Sendable {
        weak let registry: TestRegistry?
    }

    /// A link from the listener to the registry. The listener must exist before the port is known, and the registry
    /// needs the port.
    final class HandlerBox: Sendable {
        let registry = Guarded(WeakRegistry(registry: nil))
    }

    typealias Accepted = NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>

    /// The accepted connections that are not served yet. NIO ends the process if such a channel is dropped unused. That
    /// could happen to a connection that arrives while the server stops.
    final class Unserved: Sendable {
        private let channels = Guarded<[ObjectIdentifier: Accepted]>([:])
        /// The number of connections accepted so far.
        let count = Counter()

        func add(_ channel: Accepted) {
            count.add()
            channels.withLock { $0[ObjectIdentifier(channel.channel)] = channel }
        }

        func remove(_ channel: Accepted) {
            channels.withLock { _ = $0.removeValue(forKey: ObjectIdentifier(channel.channel)) }
        }

        /// Closes the connections that will not be served, which counts as a use.
        func close() async {
            let left = channels.withLock { channels in
                defer { channels = [:] }
                return Array(channels.values)
            }
            for channel in left { try? await channel.executeThenClose { _, _ in } }
        }
    }

    /// Starts a registry on a free port.
    public static func start(
        _ behaviour: Behaviour = Behaviour(), tls: TestTLS? = nil
    ) async throws -> TestRegistry {
        let box = HandlerBox()
        let unserved = Unserved()
        let context = try tls?.makeContext()
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
            .bind(host: "127.0.0.1", port: 0) { child in
                child.eventLoop.makeCompletedFuture {
                    if let context {
                        try child.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context))
                    }
                    try child.pipeline.syncOperations.configureHTTPServerPipeline()
                    let accepted = try Accepted(wrappingChannelSynchronously: child)
                    unserved.add(accepted)
                    return accepted
                }
            }
        let port = listener.channel.localAddress?.port ?? 0
        let server = Task<Void, Never> {
            _ = try? await withThrowingDiscardingTaskGroup { group in
                try await listener.executeThenClose { connections in
                    for try await connection in connections {
                        unserved.remove(connection)
                        group.addTask {
                            // A client that closes its connection is not a failure of the server.
                            try? await Connection(connection, box).serve()
                        }
                    }
                }
            }
        }
        let registry = TestRegistry(
            channel: listener.channel, port: port, scheme: tls == nil ? "http" : "https", handler: box, server: server,
            unserved: unserved)
        registry.behaviour = behaviour
        return registry
    }

    /// Stops listening and closes every connection, including those that a gate holds or a fault stalls.
    public func stop() async {
        let gates = state.withLock { $0.gates }
        for gate in gates { gate.open() }
        server.cancel()
        try? await channel.close()
        await server.value
        await unserved.close()
    }

    /// Runs `body` with a registry, and stops the registry afterwards even if `body` throws.
    public static func withRegistry<Result>(
        _ behaviour: Behaviour = Behaviour(), tls: TestTLS? = nil, _ body: (TestRegistry) async throws -> Result
    ) async throws -> Result {
        let registry = try await start(behaviour, tls: tls)
        do {
            let result = try await body(registry)
            await registry.stop()
            return result
        } catch {
            await registry.stop()
            throw error
        }
    }

    /// The behavior for this and all later requests.
    public var behaviour: Behaviour {
        get { state.withLock { $0.behaviour } }
        set { state.withLock { $0.behaviour = newValue } }
    }

    /// The number of connections so far.
    public var connections: Int { Int(unserved.count.value) }

    /// The requests received so far, in order of arrival.
    public var requests: [RecordedRequest] { state.withLock { $0.requests } }

    /// Returns the requests of one kind.
    public func requests(_ kind: RequestKind) -> [RecordedRequest] { requests.filter { $0.kind == kind } }

    /// Forgets the requests recorded so far.
    public func clearRequests() { state.withLock { $0.requests = [] } }

    /// Makes the next `times` requests of a kind fail, after `skipping` requests that succeed. The registry uses faults
    /// in the order in which they were injected.
    ///
    /// - Parameter digest: the blob whose requests fail; `nil` means every request of the kind.
    public func inject(
        _ fault: Fault, times: Int = 1, into kind: RequestKind = .blob, digest: Digest? = nil, skipping: Int = 0
    ) {
        state.withLock {
            $0.injections.append(
                Injection(fault: fault, kind: kind, digest: digest, skipping: skipping, remaining: times))
        }
    }

    /// Holds every request of a kind before its response, until the returned gate is opened.
    public func hold(_ kind: RequestKind = .blob) -> Gate {
        let gate = Gate(kind)
        state.withLock { $0.gates.append(gate) }
        return gate
    }

    /// Expires every Bearer token issued so far.
    public func expireTokens() { state.withLock { $0.tokens = [] } }

    /// Makes this server answer 403 to every presigned URL that it issued so far. Call it on the target of redirects.
    public func expireSignatures() { state.withLock { $0.signatures = [] } }
}
