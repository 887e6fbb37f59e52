/// The share of a layer's reads that were predicted.
///
/// If predictions cover nearly all reads, speculation by location mostly fetches unread bytes: numpy's start moved
/// 28.6 MB with both and 19.9 MB with predictions alone, and was ready later (3.13 s against 2.80 s on wan). The reads
/// that predictions miss lie together, though: a little speculation cut python-sci's start on wan from 15.2 s and 250
/// requests to 12.0 s and 187, and left numpy's unchanged (256 KiB; 128 KiB gave 12.8 s, 32 KiB 14.0 s).
struct PredictionAccuracy: Sendable {
    /// The number of reads after which the older half counts half.
    private static let memory = 64
    /// Hits granted in advance to a layer's first predictions.
    private static let credit = 4

    private var hits = 0
    private var misses = 0
    private var isMeasured = false

    /// True if at least three quarters of the reads were predicted.
    var isHigh: Bool { isMeasured && hits >= misses * 3 }

    /// Begins to measure. The first predictions are trusted until reads prove otherwise.
    mutating func begin() {
        guard !isMeasured else { return }
        isMeasured = true
        hits += Self.credit
    }

    /// Begins to measure predictions that should cover nearly every read.
    mutating func beginTrusted() {
        guard !isMeasured else { return }
        isMeasured = true
        (hits, misses) = (Self.memory, 0)
    }

    /// Records a read that was predicted.
    mutating func recordHit() {
        hits += 1
        age()
    }

    /// Records a read that was not predicted.
    mutating func recordMiss() {
        misses += 1
        age()
    }

    private mutating func age() {
        guard hits + misses > Self.memory else { return }
        hits /= 2
        misses /= 2
    }
}
