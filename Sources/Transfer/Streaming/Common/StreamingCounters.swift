import Base
import Planner

/// The engine's own counters. The planner has others.
final class StreamingCounters: Sendable {
    /// The number of bytes of response bodies that arrived, by the class of their request.
    let received = PerClass(demand: Counter(), hint: Counter(), readahead: Counter(), fill: Counter())
    /// The number of bytes of response bodies that were discarded: gaps between extents, and extents that were no
    /// longer needed.
    let skipped = Counter()
    let decodedBytes = Counter()
    let decodedExtents = Counter()
    let digestFailures = Counter()
    let decodeFailures = Counter()
    let storeFailures = Counter()
    let decodeNanoseconds = Counter()
    /// The number of times that a connection was not read because decoding was behind.
    let backPressure = Counter()
    /// The number of readers' requests that were late and were sent a second time.
    let hedged = Counter()
    /// The number of startup packs whose chunks the engine began to fetch, including packs that were abandoned later.
    let packs = Counter()
    /// The number of startup packs that were abandoned.
    let packsAbandoned = Counter()
    /// The number of bytes of startup packs that arrived.
    let packBytes = Counter()
}
