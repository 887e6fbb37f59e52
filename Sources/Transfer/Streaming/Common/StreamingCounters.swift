import Base
import Planner

/// The engine's own counters, apart from the planner's.
final class StreamingCounters: Sendable {
    /// Bytes of bodies that arrived, by the class of their request.
    let received = PerClass(demand: Counter(), hint: Counter(), readahead: Counter(), fill: Counter())
    /// Bytes of bodies that lay between extents, or behind the last extent that was still needed.
    let skipped = Counter()
    let decodedBytes = Counter()
    let decodedExtents = Counter()
    let digestFailures = Counter()
    let decodeFailures = Counter()
    let storeFailures = Counter()
    let decodeNanoseconds = Counter()
    /// Times that a connection was not read because decoding was behind.
    let backPressure = Counter()
    /// Readers' requests that were late and were sent a second time.
    let hedged = Counter()
    /// Startup packs whose chunks were fetched.
    let packs = Counter()
    /// Startup packs that were abandoned.
    let packsAbandoned = Counter()
    /// Bytes of startup packs that arrived.
    let packBytes = Counter()
}
