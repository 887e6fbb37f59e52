import Base
import Glibc
import NIOCore
import NIOPosix

/// A TCP relay between a node and its registry that counts requests and bytes, gives the link a rate and a delay, and lets
/// it fail.
///
/// It speaks plain HTTP/1.1 on 127.0.0.1. All connections share one event loop, which is also where the link's rate is
/// handed out, so that the relay as a whole behaves like one wire.
public final class Relay: Sendable {
    /// Where the node finds it.
    public let port: Int
    private let group: MultiThreadedEventLoopGroup
    private let server: any Channel
    private let shared: RelayState

    /// Starts relaying to `upstream` on 127.0.0.1.
    public init(to upstream: Int, shape: LinkShape = .unshaped, teardown: Teardown) async throws(LabError) {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let shared = RelayState(upstream: upstream, shape: shape, loop: group.next())
        self.group = group
        self.shared = shared
        do {
            server = try await ServerBootstrap(group: group)
                .serverChannelOption(.backlog, value: 256)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                .childChannelOption(.autoRead, value: false)
                .childChannelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 64 << 10))
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(NodeSide(shared))
                    }
                }
                .bind(host: "127.0.0.1", port: 0).get()
        } catch {
            throw LabError(.cannotStart, "no relay to port \(upstream)", cause: error)
        }
        port = server.localAddress?.port ?? 0
        try teardown.add("relay") { try? group.syncShutdownGracefully() }
    }

    /// What has gone through so far.
    public var record: RelayRecord { shared.record.withLock { $0 } }

    /// Requests and bytes so far: cheap enough to ask often.
    public var counts: (requests: Int, bytes: UInt64) {
        shared.record.withLock { ($0.requests.count, $0.bytes) }
    }

    /// Starts counting afresh.
    public func forget() {
        shared.forget()
    }

    /// From now on the link is like `link`: connections that are open are closed, counting starts afresh, and the times of
    /// what is to go wrong run from here.
    public func begin(_ link: Link) async throws(LabError) {
        do {
            try await shared.loop.submit { [shared] in shared.begin(link) }.get()
        } catch {
            throw LabError(.closing, "the relay is being taken down", cause: error)
        }
    }

    /// CPU time that relaying has taken so far, in seconds.
    public func cpuSeconds() async throws(LabError) -> Double {
        do {
            return try await shared.loop.submit {
                var time = timespec()
                clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
                return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
            }.get()
        } catch {
            throw LabError(.closing, "the relay is being taken down", cause: error)
        }
    }

    /// What a link does that is not there.
    public enum Outage: Sendable, CaseIterable {
        /// New connections end as soon as they are made.
        case refusing
        /// New connections are made, and nothing ever comes of them.
        case silent
    }

    /// Cuts the link: every connection is reset, and new ones fare as `outage` says, until it is restored.
    public func cut(_ outage: Outage = .refusing) {
        shared.outage.withLock { $0 = outage }
        shared.loop.execute { [shared] in shared.connections.value.resetAll() }
    }

    /// Mends what ``cut(_:)`` cut; connections that nothing came of are reset.
    public func restore() {
        shared.outage.withLock { $0 = nil }
        shared.loop.execute { [shared] in shared.connections.value.resetAll() }
    }
}
