import Base
import Glibc
import NIOCore
import NIOPosix

/// The state that all connections of a relay share.
final class RelayState: Sendable {
    let upstream: Int
    let loop: any EventLoop
    let record = Guarded(RelayRecord())
    let outage = Guarded<Relay.Outage?>(nil)
    /// The number of resets of the record, so that indexes from before a reset are not used.
    let generation = Guarded(0)
    // The properties below are accessed only on the loop.
    let schedule: NIOLoopBoundBox<LinkSchedule>
    let faults: NIOLoopBoundBox<FaultState>
    let connections: NIOLoopBoundBox<OpenConnections>

    init(upstream: Int, shape: LinkShape, loop: any EventLoop) {
        self.upstream = upstream
        self.loop = loop
        schedule = .makeBoxSendingValue(LinkSchedule(shape: shape), eventLoop: loop)
        faults = .makeBoxSendingValue(FaultState(.none), eventLoop: loop)
        connections = .makeBoxSendingValue(OpenConnections(), eventLoop: loop)
    }

    func forget() {
        record.withLock { $0 = RelayRecord() }
        generation.withLock { $0 += 1 }
    }

    /// Applies `link`. Call this on the loop.
    func begin(_ link: Link) {
        connections.value.resetAll()
        schedule.value = LinkSchedule(shape: link.shape)
        faults.value.end()
        faults.value = FaultState(link.faults)
        self.outage.withLock { $0 = nil }
        forget()
        guard let outage = link.faults.outage else { return }
        faults.value.timers = [
            loop.scheduleTask(in: .nanoseconds(Int64(outage.after))) { [self] in
                self.outage.withLock { $0 = .refusing }
                connections.value.resetAll()
            },
            loop.scheduleTask(in: .nanoseconds(Int64(outage.after + outage.lasting))) { [self] in
                self.outage.withLock { $0 = nil }
            },
        ]
    }
}

/// The pending faults, and the random numbers that select them.
struct FaultState {
    let faults: LinkFaults
    var timers: [Scheduled<Void>] = []
    private var generator: SeededGenerator

    init(_ faults: LinkFaults) {
        self.faults = faults
        generator = SeededGenerator(seed: faults.seed)
    }

    func end() {
        timers.forEach { $0.cancel() }
    }

    /// Returns the number of bytes after which the next response is reset; `nil` if it is not reset.
    mutating func resetOfNextAnswer() -> UInt64? {
        guard faults.loss > 0, Double.random(in: 0..<1, using: &generator) < faults.loss else { return nil }
        return UInt64.random(in: 1...(256 << 10), using: &generator)
    }
}

/// The node's open connections.
struct OpenConnections {
    private var channels: [ObjectIdentifier: any Channel] = [:]

    mutating func add(_ channel: any Channel) {
        channels[ObjectIdentifier(channel)] = channel
    }

    mutating func remove(_ channel: any Channel) {
        channels[ObjectIdentifier(channel)] = nil
    }

    func resetAll() {
        channels.values.forEach(Self.reset)
    }

    /// Ends a connection with RST instead of FIN, as a middlebox or a crashed machine would.
    static func reset(_ channel: any Channel) {
        let closed = linger(l_onoff: 1, l_linger: 0)
        if let provider = channel as? any SocketOptionProvider {
            provider.setSoLinger(closed).whenComplete { _ in channel.close(promise: nil) }
        } else {
            channel.close(promise: nil)
        }
    }
}
