import Base
import ContentStore
import Planner
import Registry

/// A layer that the engine fetches, and where its blob can be had.
final class AttachedLayer: Sendable {
    private struct State {
        var locations: [BlobLocation]
        /// The one that worked last.
        var preferred = 0
        var lastReport: MonotonicTime?
        var unreported = 0
        var isCompletionReported = false
        /// Blocks of the windows blob that are being fetched.
        var fetching: [UInt64: Task<Result<Void, RegistryError>, Never>] = [:]
    }

    let id: LayerID
    let content: LayerContent
    private let state: Guarded<State>

    init(_ id: LayerID, _ content: LayerContent, _ locations: [BlobLocation]) {
        self.id = id
        self.content = content
        state = Guarded(State(locations: locations))
    }

    var map: LayerMap { LayerMap(content: content) }

    /// More places that hold the same blob.
    func add(_ locations: [BlobLocation]) {
        state.withLock { state in
            for location in locations where !state.locations.contains(location) { state.locations.append(location) }
        }
    }

    /// The places, the one that worked last first.
    var locations: [BlobLocation] {
        state.withLock { state in
            let count = state.locations.count
            return (0..<count).map { state.locations[(state.preferred + $0) % count] }
        }
    }

    /// Asked first from now on.
    func prefer(_ location: BlobLocation) {
        state.withLock { state in
            if let index = state.locations.firstIndex(of: location) { state.preferred = index }
        }
    }

    /// The task that fetches this block of the windows blob: that which runs, or one that `body` is the work of.
    func fetching(
        _ block: UInt64, _ body: @escaping @Sendable () async -> Result<Void, RegistryError>
    ) -> Task<Result<Void, RegistryError>, Never> {
        state.withLock { state in
            if let task = state.fetching[block] { return task }
            let task = Task {
                let result = await body()
                self.state.withLock { $0.fetching[block] = nil }
                return result
            }
            state.fetching[block] = task
            return task
        }
    }

    /// Its bytes were wrong: another place is asked first from now on.
    func distrust() {
        state.withLock { state in
            if !state.locations.isEmpty { state.preferred = (state.preferred + 1) % state.locations.count }
        }
    }

    /// Whether trouble with this layer is to be logged now, and how much of it was not logged since the last time: one
    /// line a minute, however many extents are wrong.
    func shouldReport(now: MonotonicTime) -> Int? {
        state.withLock { state in
            if let last = state.lastReport, now.since(last) < 60_000_000_000 {
                state.unreported += 1
                return nil
            }
            defer {
                state.lastReport = now
                state.unreported = 0
            }
            return state.unreported
        }
    }

    /// True once, when the layer is complete.
    func becameComplete() -> Bool {
        guard content.isComplete else { return false }
        return state.withLock { state in
            defer { state.isCompletionReported = true }
            return !state.isCompletionReported
        }
    }
}
