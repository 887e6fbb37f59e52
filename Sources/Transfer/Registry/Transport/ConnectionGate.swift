import Base
import NIOCore

/// A gate for the new connections of one connection pool. While the gate is closed, no request can use a new
/// connection.
final class ConnectionGate: Sendable {
    private struct Held {
        var holders = 0
        let opened: EventLoopPromise<Void>
    }

    private let held = Guarded<Held?>(nil)

    /// Closes the gate. Call ``release()`` exactly once after each call of this method. The gate opens again after the
    /// last release.
    ///
    /// - Parameter loop: the event loop for the future that ``passed(by:)`` returns while the gate is closed.
    func hold(on loop: any EventLoop) {
        held.withLock { held in
            var now = held ?? Held(opened: loop.makePromise())
            now.holders += 1
            held = now
        }
    }

    func release() {
        let opened = held.withLock { held -> EventLoopPromise<Void>? in
            guard var now = held else { return nil }
            now.holders -= 1
            held = now.holders > 0 ? now : nil
            return now.holders > 0 ? nil : now.opened
        }
        opened?.succeed()
    }

    /// Returns a future that completes when the gate is open. The HTTP client does not use the new connection `channel`
    /// before the future completes.
    func passed(by channel: any Channel) -> EventLoopFuture<Void> {
        held.withLock { $0?.opened.futureResult } ?? channel.eventLoop.makeSucceededVoidFuture()
    }
}
