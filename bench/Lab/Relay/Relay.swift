import Base
import NIOCore
import NIOPosix

/// A TCP relay between a node and its registry that counts requests and bytes, and gives the link a rate and a delay.
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
        shared.record.withLock { $0 = RelayRecord() }
        shared.generation.withLock { $0 += 1 }
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
        shared.loop.execute { [shared] in shared.connections.value.closeAll() }
    }

    /// Mends what ``cut(_:)`` cut; connections that nothing came of are reset.
    public func restore() {
        shared.outage.withLock { $0 = nil }
        shared.loop.execute { [shared] in shared.connections.value.closeAll() }
    }
}

/// What all connections of a relay share.
final class RelayState: Sendable {
    let upstream: Int
    let loop: any EventLoop
    let record = Guarded(RelayRecord())
    let outage = Guarded<Relay.Outage?>(nil)
    /// Goes up when the record is emptied, so that indexes into it are not used any more.
    let generation = Guarded(0)
    // Only touched on the loop.
    let schedule: NIOLoopBoundBox<LinkSchedule>
    let connections: NIOLoopBoundBox<OpenConnections>

    init(upstream: Int, shape: LinkShape, loop: any EventLoop) {
        self.upstream = upstream
        self.loop = loop
        schedule = .makeBoxSendingValue(LinkSchedule(shape: shape), eventLoop: loop)
        connections = .makeBoxSendingValue(OpenConnections(), eventLoop: loop)
    }
}

/// The node's connections that are open.
struct OpenConnections {
    private var channels: [ObjectIdentifier: any Channel] = [:]

    mutating func add(_ channel: any Channel) {
        channels[ObjectIdentifier(channel)] = channel
    }

    mutating func remove(_ channel: any Channel) {
        channels[ObjectIdentifier(channel)] = nil
    }

    func closeAll() {
        for channel in channels.values {
            channel.close(promise: nil)
        }
    }
}
