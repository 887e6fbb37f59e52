public import Base
import Glibc
import NIOCore
import NIOPosix

/// A TCP relay between a node and its registry. It counts requests and bytes, shapes rate and delay, and injects
/// faults.
///
/// The relay speaks plain HTTP/1.1 on 127.0.0.1. All connections share one event loop, which also distributes the
/// link's rate. So the relay as a whole behaves like one wire.
public final class Relay: Sendable {
    /// The port to which the node connects.
    public let port: Int
    private let group: MultiThreadedEventLoopGroup
    private let server: any Channel
    private let shared: RelayState

    /// Starts a relay to `upstream`, a port on 127.0.0.1.
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

    /// The record so far.
    public var record: RelayRecord { shared.record.withLock { $0 } }

    /// The numbers of requests and bytes so far. Reading them often is cheap.
    public var counts: (requests: Int, bytes: UInt64) {
        shared.record.withLock { ($0.requests.count, $0.bytes) }
    }

    /// Resets the record.
    public func forget() {
        shared.forget()
    }

    /// Applies `link`: closes open connections, resets the record, and starts the clock of the faults.
    public func begin(_ link: Link) async throws(LabError) {
        do {
            try await shared.loop.submit { [shared] in shared.begin(link) }.get()
        } catch {
            throw LabError(.closing, "the relay is being taken down", cause: error)
        }
    }

    /// Returns the CPU time that the relay has used so far, in seconds.
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

    /// The behavior of new connections while the link is cut.
    public enum Outage: Sendable, CaseIterable {
        /// New connections end as soon as they are established.
        case refusing
        /// New connections are established but never answered.
        case silent
    }

    /// Cuts the link: resets every connection, and lets new ones behave as `outage` says until ``restore()``.
    public func cut(_ outage: Outage = .refusing) {
        shared.outage.withLock { $0 = outage }
        shared.loop.execute { [shared] in shared.connections.value.resetAll() }
    }

    /// Undoes ``cut(_:)``. Unanswered connections are reset.
    public func restore() {
        shared.outage.withLock { $0 = nil }
        shared.loop.execute { [shared] in shared.connections.value.resetAll() }
    }
}
