import Base
import ContentStore
import Logging

/// The queue of layers that have become complete: all of their chunks are in the store. A separate thread flushes these
/// layers to disk, so that no reader waits for a flush.
final class LayerCompletions: Sendable {
    private struct State {
        var layers = FIFO<AttachedLayer>()
        var isClosed = false
        var observer: (@Sendable (StoredLayer) -> Void)?
    }

    private let state = Guarded(State())
    private let logger: Logger

    init(logger: Logger) {
        self.logger = logger
    }

    /// Sets the observer of complete layers. The flushing thread calls the observer after each successful flush of a
    /// layer. The observer may block.
    func observe(_ observer: @escaping @Sendable (StoredLayer) -> Void) {
        state.withLock { $0.observer = observer }
    }

    /// Queues those of `layers` that have become complete since the last check. The flushing thread takes them from the
    /// queue.
    func check(_ layers: [AttachedLayer]) {
        for layer in layers where layer.becameComplete() {
            state.withLockSignalling { if !$0.isClosed { $0.layers.append(layer) } }
        }
    }

    /// Tells the flushing thread to end. The thread does not flush the layers that are still queued.
    func close() {
        state.withLockBroadcasting { $0.isClosed = true }
    }

    /// Flushes layers until ``close()``. This is the body of the flushing thread.
    func run() {
        while let layer = next() { finish(layer.content) }
    }

    private func next() -> AttachedLayer? {
        let (layer, _) = state.waitUntil { state -> (AttachedLayer?, Bool)? in
            if state.isClosed { return (nil, true) }
            return state.layers.popFirst().map { ($0, false) }
        }
        return layer
    }

    /// Flushes a complete layer to disk, so that it survives a crash of the machine. Then calls the observer, unless
    /// the flush failed.
    private func finish(_ layer: StoredLayer) {
        do throws(ContentStoreError) {
            try layer.makeDurable()
            logger.info("layer complete", metadata: ["layer": "\(layer.digest)"])
        } catch {
            logger.error(
                "failed to flush a complete layer to disk",
                metadata: ["layer": "\(layer.digest)", "reason": "\(error)"])
            // The failed flush may have dropped chunks, so the layer may no longer be complete.
            return
        }
        state.withLock { $0.observer }?(layer)
    }
}
