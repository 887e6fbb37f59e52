import Base
import NIOCore
import NIOPosix

/// The bytes in flight to one end of a connection, each piece with its arrival time.
private struct Pipe {
    private var queue = CircularBuffer<(at: MonotonicTime, bytes: ByteBuffer)>()
    private(set) var size = 0
    /// True if no more bytes will come. The end is passed on after the last byte has arrived.
    var isFinished = false

    mutating func add(_ bytes: ByteBuffer, at moment: MonotonicTime) {
        size += bytes.readableBytes
        queue.append((moment, bytes))
    }

    /// Returns the next piece that has arrived by `now`; `nil` if there is none.
    mutating func next(at now: MonotonicTime) -> ByteBuffer? {
        guard let first = queue.first, first.at <= now else { return nil }
        queue.removeFirst()
        size -= first.bytes.readableBytes
        return first.bytes
    }

    var nextArrival: MonotonicTime? { queue.first?.at }
    var isDrained: Bool { isFinished && queue.isEmpty }
}

/// The node's end of a relayed connection.
///
/// It owns the registry's end and both pipes, and is confined to the relay's event loop.
final class NodeSide: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let state: RelayState
    private var node: (any Channel)?
    private var registry: (any Channel)?
    private var toRegistry = Pipe()
    private var toNode = Pipe()
    private var timers: (registry: Bool, node: Bool) = (false, false)
    private var scanner = RequestScanner()
    /// The index in the record of the request in progress, and the record's generation.
    private var request: (index: Int, generation: Int)?
    /// The earliest time at which the response to the latest request may start.
    private var firstByte = MonotonicTime(nanoseconds: 0)
    /// The time at which the connection is established at the node's end. TCP's handshake takes a round trip before any
    /// bytes.
    private var established = MonotonicTime(nanoseconds: 0)
    /// The time from which the connection's own rate limit allows more bytes.
    private var free = MonotonicTime(nanoseconds: 0)
    /// The number of bytes delivered to the node. The connection is reset after `deliverable` bytes.
    private var delivered: UInt64 = 0
    private var deliverable = UInt64.max

    init(_ state: RelayState) {
        self.state = state
        let limit = state.faults.value.faults.resetAfter
        if limit > 0 { deliverable = limit }
    }

    private var shape: LinkShape { state.schedule.value.shape }

    func channelActive(context: ChannelHandlerContext) {
        let outage = state.outage.withLock { $0 }
        guard outage != .refusing else { return OpenConnections.reset(context.channel) }
        node = context.channel
        established = MonotonicTime.now().advanced(by: 2 * shape.oneWayDelay)
        state.connections.value.add(context.channel)
        // The relay does not read from this connection, so its bytes stay in the kernel.
        if outage == .silent { return }
        state.record.withLock { $0.connections += 1 }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        ClientBootstrap(group: context.eventLoop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.autoRead, value: false)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 64 << 10))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(RegistrySide(bound.value))
                }
            }
            .connect(host: "127.0.0.1", port: state.upstream)
            .whenComplete { result in bound.value.connected(result) }
    }

    private func connected(_ result: Result<any Channel, any Error>) {
        switch result {
        case .success(let channel) where node?.isActive == true:
            registry = channel
            channel.read()
            node?.read()
        case .success(let channel):
            channel.close(promise: nil)
        case .failure:
            node?.close(promise: nil)
        }
    }

    // MARK: From the node

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        let now = MonotonicTime.now()
        for head in scanner.scan(bytes.readableBytesView) {
            let entry = RelayRequest(
                at: now, method: head.method, path: head.path, range: head.range, agent: head.agent)
            let generation = state.generation.withLock { $0 }
            request = state.record.withLock { record in
                record.requests.append(entry)
                return (record.requests.count - 1, generation)
            }
            firstByte = max(now, established).advanced(by: shape.oneWayDelay).advanced(by: shape.firstByteDelay)
            if let length = state.faults.value.resetOfNextAnswer() {
                deliverable = min(deliverable, delivered + length)
            }
        }
        toRegistry.add(bytes, at: max(now, established).advanced(by: shape.oneWayDelay))
        deliverToRegistry()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if toRegistry.size < shape.window { context.read() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        guard context.channel.isWritable else { return }
        deliverToNode()
        // The registry's end may have stopped reading, although nothing is left to deliver.
        registryReadComplete()
    }

    func channelInactive(context: ChannelHandlerContext) {
        state.connections.value.remove(context.channel)
        registry?.close(promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func deliverToRegistry() {
        guard let registry else { return }
        let now = MonotonicTime.now()
        var any = false
        while let bytes = toRegistry.next(at: now) {
            registry.write(bytes, promise: nil)
            any = true
        }
        if any {
            registry.flush()
            node?.read()
        }
        if let next = toRegistry.nextArrival, !timers.registry {
            timers.registry = true
            wake(at: next) {
                $0.timers.registry = false
                $0.deliverToRegistry()
            }
        }
    }

    // MARK: From the registry

    func registryRead(_ bytes: ByteBuffer) {
        let arrival = state.schedule.value.delivery(
            of: bytes.readableBytes, at: .now(), notBefore: firstByte, connectionFree: &free)
        toNode.add(bytes, at: arrival)
        deliverToNode()
    }

    func registryReadComplete() {
        if toNode.size < shape.window, node?.isWritable == true { registry?.read() }
    }

    func registryClosed() {
        toNode.isFinished = true
        deliverToNode()
    }

    private func deliverToNode() {
        guard let node, delivered < deliverable else { return }
        let now = MonotonicTime.now()
        var count: UInt64 = 0
        while node.isWritable, var bytes = toNode.next(at: now) {
            let room = deliverable - delivered
            if UInt64(bytes.readableBytes) >= room { bytes = bytes.readSlice(length: Int(room)) ?? bytes }
            count += UInt64(bytes.readableBytes)
            delivered += UInt64(bytes.readableBytes)
            node.write(bytes, promise: nil)
            if delivered == deliverable {
                note(count, at: now)
                node.flush()
                return OpenConnections.reset(node)
            }
            if node.isWritable == false { node.flush() }
        }
        if count > 0 {
            note(count, at: now)
            node.flush()
            if toNode.size < shape.window, node.isWritable { registry?.read() }
        }
        if toNode.isDrained {
            node.close(promise: nil)
        } else if node.isWritable, let next = toNode.nextArrival, !timers.node {
            timers.node = true
            wake(at: next) {
                $0.timers.node = false
                $0.deliverToNode()
            }
        }
    }

    private func note(_ count: UInt64, at now: MonotonicTime) {
        let generation = state.generation.withLock { $0 }
        let index = request.flatMap { $0.generation == generation ? $0.index : nil }
        state.record.withLock { record in
            record.add(count, at: now)
            guard let index, index < record.requests.count else { return }
            record.requests[index].bytes += count
            record.requests[index].lastByte = now
        }
    }

    private func wake(at moment: MonotonicTime, _ body: @escaping @Sendable (NodeSide) -> Void) {
        let bound = NIOLoopBound(self, eventLoop: state.loop)
        let deadline = NIODeadline.uptimeNanoseconds(moment.nanoseconds)
        state.loop.scheduleTask(deadline: deadline) { body(bound.value) }
    }
}

/// The registry's end of a connection, which passes everything to the node's end.
private final class RegistrySide: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let nodeSide: NodeSide

    init(_ nodeSide: NodeSide) {
        self.nodeSide = nodeSide
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        nodeSide.registryRead(unwrapInboundIn(data))
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        nodeSide.registryReadComplete()
    }

    func channelInactive(context: ChannelHandlerContext) {
        nodeSide.registryClosed()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
