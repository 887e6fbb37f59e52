import Base
import Planner

/// The counters of the streaming engine, except those that the planner keeps.
final class StreamingCounters: Sendable {
    /// The number of bytes of response bodies that arrived, by ``FetchClass``. The bytes count in the class in which
    /// their request started. Bytes of startup packs count in ``packBytes`` instead, and bytes for recoveries in
    /// ``recoveryBytes``.
    let received = PerClass(demand: Counter(), hint: Counter(), readahead: Counter(), fill: Counter())
    /// The number of bytes of response bodies that the engine discarded: bytes between the requested extents, and
    /// extents that were no longer needed.
    let skipped = Counter()
    let decodedBytes = Counter()
    let decodedExtents = Counter()
    let digestFailures = Counter()
    let decodeFailures = Counter()
    let storeFailures = Counter()
    let decodeNanoseconds = Counter()
    /// The number of times that the engine stopped reading a connection because the decode queue was full.
    let backPressure = Counter()
    /// The number of readers' requests that the engine sent a second time because the first answer was late.
    let hedged = Counter()
    /// The number of startup packs whose chunks the engine began to fetch, including packs that were abandoned later.
    let packs = Counter()
    /// The number of startup packs that the engine abandoned after a failure.
    let packsAbandoned = Counter()
    /// The number of bytes of startup packs that arrived.
    let packBytes = Counter()
    /// The number of recoveries that failed (``RecoveryReceiver``).
    let recoveriesFailed = Counter()
    /// The number of bytes of blobs that arrived for recoveries.
    let recoveryBytes = Counter()
}
