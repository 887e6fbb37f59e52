import Base

/// Work that waits for the disk, done one after the other on a thread of its own so that no reader waits behind it.
final class CompletionQueue: Sendable {
    private struct State {
        var layers = FIFO<AttachedLayer>()
        var isClosed = false
    }

    private let state = Guarded(State())

    func append(_ layer: AttachedLayer) {
        state.withLockSignalling { if !$0.isClosed { $0.layers.append(layer) } }
    }

    /// What has not begun is left.
    func close() {
        state.withLockBroadcasting { $0.isClosed = true }
    }

    /// The thread's body.
    func run(_ body: (AttachedLayer) -> Void) {
        while let layer = next() { body(layer) }
    }

    private func next() -> AttachedLayer? {
        let (layer, _) = state.waitUntil { state -> (AttachedLayer?, Bool)? in
            if state.isClosed { return (nil, true) }
            return state.layers.popFirst().map { ($0, false) }
        }
        return layer
    }
}
