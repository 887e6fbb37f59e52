import Base
import NIOCore

/// Keeps connections of one pool that have just been made from being used, while somebody holds it.
final class ConnectionGate: Sendable {
    private struct Held {
        var holders = 0
        let opened: EventLoopPromise<Void>
    }

    private let held = Guarded<Held?>(nil)

    /// To be followed by ``release()``, once.
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

    /// Done when nobody holds it any more.
    func passed(by channel: any Channel) -> EventLoopFuture<Void> {
        held.withLock { $0?.opened.futureResult } ?? channel.eventLoop.makeSucceededVoidFuture()
    }
}
