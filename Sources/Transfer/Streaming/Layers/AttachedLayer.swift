import Base
import ContentStore
import Planner
import Registry

/// A layer whose chunks the engine can fetch, and the locations of the layer's blob.
final class AttachedLayer: Sendable {
    private struct State {
        var locations: [BlobLocation]
        /// The index of the location that the next request tries first. A location becomes the first when a request to
        /// it succeeds. When the first location sends wrong bytes, the next location becomes the first.
        var preferred = 0
        var lastReport: MonotonicTime?
        /// The number of problems that were suppressed since the last problem was logged.
        var unreported = 0
        var isCompletionReported = false
        /// The running fetches of blocks of the windows blob (see ``LayerMap/missingWindows(_:)``), by block number.
        /// One fetch may bring several blocks.
        var fetching: [UInt64: Task<Result<Void, RegistryError>, Never>] = [:]
    }

    let id: LayerID
    let content: StoredLayer
    private let state: Guarded<State>

    init(_ content: StoredLayer, id: LayerID, locations: [BlobLocation]) {
        self.id = id
        self.content = content
        state = Guarded(State(locations: locations))
    }

    var map: LayerMap { LayerMap(content: content) }

    /// Adds locations of the same blob.
    func add(_ locations: [BlobLocation]) {
        state.withLock { state in
            for location in locations where !state.locations.contains(location) { state.locations.append(location) }
        }
    }

    /// The locations of the blob, in the order in which to try them. The location that worked last comes first, unless
    /// it has sent wrong bytes since.
    var locations: [BlobLocation] {
        state.withLock { state in
            let count = state.locations.count
            return (0..<count).map { state.locations[(state.preferred + $0) % count] }
        }
    }

    /// Makes `location` the first location that later requests try.
    func prefer(_ location: BlobLocation) {
        state.withLock { state in
            if let index = state.locations.firstIndex(of: location) { state.preferred = index }
        }
    }

    /// Makes later requests try the next location first, because the preferred location sent wrong bytes.
    func distrust() {
        state.withLock { state in
            if !state.locations.isEmpty { state.preferred = (state.preferred + 1) % state.locations.count }
        }
    }

    /// Returns the tasks that fetch these blocks of the windows blob (see ``LayerMap/missingWindows(_:)``). Starts a
    /// new task for each run of adjacent blocks that no running task fetches.
    ///
    /// - Parameters:
    ///   - blocks: the numbers of the blocks.
    ///   - body: fetches a run of blocks. Each new task calls it once.
    func fetching(
        _ blocks: Range<UInt64>, _ body: @escaping @Sendable (Range<UInt64>) async -> Result<Void, RegistryError>
    ) -> [Task<Result<Void, RegistryError>, Never>] {
        state.withLock { state in
            var tasks: [Task<Result<Void, RegistryError>, Never>] = []
            var next = blocks.lowerBound
            while next < blocks.upperBound {
                if let task = state.fetching[next] {
                    tasks.append(task)
                    next += 1
                    continue
                }
                let begin = next
                while next < blocks.upperBound, state.fetching[next] == nil { next += 1 }
                let run = begin..<next
                let task = Task {
                    let result = await body(run)
                    self.state.withLock { state in run.forEach { state.fetching[$0] = nil } }
                    return result
                }
                run.forEach { state.fetching[$0] = task }
                tasks.append(task)
            }
            return tasks
        }
    }

    /// Decides if the caller may log a problem with the layer. Only one problem a minute is logged for each layer,
    /// however many extents are wrong.
    ///
    /// - Returns: the number of problems that were suppressed since the last problem was logged; `nil` if the caller
    ///   must not log this one.
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

    /// Returns true on the first call after the layer became complete, false on every other call. A layer may become
    /// complete more than once, because the store may evict chunks.
    func becameComplete() -> Bool {
        let isComplete = content.isComplete
        return state.withLock { state in
            defer { state.isCompletionReported = isComplete }
            return isComplete && !state.isCompletionReported
        }
    }
}
