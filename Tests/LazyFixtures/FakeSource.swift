public import Base
public import ContentStore
import LayerIndex
import LazyFileSystem
import Linux

/// A chunk source that publishes chunks from blobs in memory when the test says so.
public final class FakeSource: ChunkSource {
    /// The way in which the source handles a demand.
    public enum Mode: Sendable {
        /// The demand completes before `demand` returns.
        case atOnce
        /// The source holds the demand until ``release(_:)``.
        case held
        case failing(String)
        /// The demand reports success, but nothing is published.
        case lying
        /// The demand completes on the source's own thread.
        case later
    }

    public struct Request: Sendable, Equatable {
        public let layer: Digest
        public let chunks: Range<Int>
    }

    private struct Pending: Sendable {
        let layer: StoredLayer
        let chunks: Range<Int>
        let completion: @Sendable (ChunkOutcome) -> Void
    }

    private struct State {
        var mode: Mode
        var blobs: [Digest: [UInt8]] = [:]
        var pending: [UInt64: Pending] = [:]
        var requests: [Request] = []
        var notes: [Request] = []
        var cancelled = 0
        var published = 0
        var next: UInt64 = 1
    }

    private let state: Guarded<State>

    public init(_ mode: Mode = .atOnce) {
        state = Guarded(State(mode: mode))
    }

    public func setMode(_ mode: Mode) { state.withLock { $0.mode = mode } }
    public func add(_ layer: LayerFixture) {
        let (digest, blob) = (layer.digest, layer.blob)
        state.withLock { $0.blobs[digest] = blob }
    }

    /// All demands so far.
    public var requests: [Request] { state.withLock { $0.requests } }
    /// The reads that the file system reported.
    public var notes: [Request] { state.withLock { $0.notes } }
    /// The number of demands that wait for ``release(_:)``.
    public var pendingCount: Int { state.withLock { $0.pending.count } }
    public var cancelledCount: Int { state.withLock { $0.cancelled } }
    /// The number of chunks written to the store.
    public var publishedCount: Int { state.withLock { $0.published } }

    /// Waits until `count` demands are held.
    ///
    /// - Returns: false if that takes more than ten seconds.
    public func waitForPending(_ count: Int) -> Bool {
        state.waitUntil(timeout: 10_000_000_000) { $0.pending.count >= count ? true : nil } ?? false
    }

    /// Waits until `count` demands have been canceled. Returns false if that takes more than ten seconds.
    public func waitForCancelled(_ count: Int) -> Bool {
        state.waitUntil(timeout: 10_000_000_000) { $0.cancelled >= count ? true : nil } ?? false
    }

    public func demand(
        _ layer: StoredLayer, chunks: Range<Int>, completion: @escaping @Sendable (ChunkOutcome) -> Void
    ) -> DemandID {
        let (id, mode) = state.withLockBroadcasting { state -> (UInt64, Mode) in
            let id = state.next
            state.next += 1
            state.requests.append(Request(layer: layer.digest, chunks: chunks))
            state.pending[id] = Pending(layer: layer, chunks: chunks, completion: completion)
            return (id, state.mode)
        }
        switch mode {
        case .held: break
        case .later:
            _ = try? NamedThread(name: "fake-source") { self.finish(id, mode) }
        default: finish(id, mode)
        }
        return DemandID(value: id)
    }

    public func cancel(_ demand: DemandID) {
        let pending = state.withLockBroadcasting { state in
            let pending = state.pending.removeValue(forKey: demand.value)
            if pending != nil { state.cancelled += 1 }
            return pending
        }
        pending?.completion(.cancelled)
    }

    public func noteRead(_ layer: StoredLayer, chunks: Range<Int>) {
        state.withLock { $0.notes.append(Request(layer: layer.digest, chunks: chunks)) }
    }

    /// Completes all held demands according to `mode`.
    public func release(_ mode: Mode = .atOnce) {
        for id in state.withLock({ $0.pending.keys.sorted() }) { finish(id, mode) }
    }

    private func finish(_ id: UInt64, _ mode: Mode) {
        guard let pending = state.withLock({ $0.pending.removeValue(forKey: id) }) else { return }
        switch mode {
        case .failing(let reason): return pending.completion(.failed(reason: reason))
        case .lying: return pending.completion(.available)
        default: break
        }
        do {
            try publish(pending.layer, pending.chunks)
            pending.completion(.available)
        } catch {
            pending.completion(.failed(reason: "\(error)"))
        }
    }

    /// Publishes those of `chunks` that are missing.
    public func publish(_ layer: StoredLayer, _ chunks: Range<Int>) throws {
        let blob = state.withLock { $0.blobs[layer.digest] ?? [] }
        for index in chunks where !layer.isPresent(index) {
            let chunk = layer.chunks.chunk(index)
            let start = Int(layer.chunks.extent(chunk.extent).blob.offset + chunk.innerOffset)
            try blob[start..<start + Int(chunk.content.count)].withUnsafeBytes { try layer.publish(index, $0) }
            state.withLock { $0.published += 1 }
        }
    }
}
