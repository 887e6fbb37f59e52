/// The share of a layer's reads that were predicted.
///
/// If predictions cover nearly all reads, read-ahead and read-around mostly fetch bytes that no process reads. On the
/// bench network `wan`, numpy's start fetched 28.6 MB with both and was ready after 3.13 s. With predictions alone it
/// fetched 19.9 MB and was ready after 2.80 s.
///
/// The reads that predictions miss are close together, though, so a little read-around still pays off. With 256 KiB of
/// it, python-sci's start on `wan` fell from 15.2 s and 250 requests to 12.0 s and 187 requests. It took 12.8 s with
/// 128 KiB and 14.0 s with 32 KiB. Numpy's start did not change.
struct PredictionAccuracy: Sendable {
    /// The number of reads after which both counts are halved, so that older reads count less.
    private static let memory = 64
    /// The number of hits that a layer gets in advance for its first predictions.
    private static let credit = 4

    private var hits = 0
    private var misses = 0
    private var isMeasured = false

    /// True if at least three quarters of the reads were predicted.
    var isHigh: Bool { isMeasured && hits >= misses * 3 }

    /// Begins the measurement. The planner trusts the first predictions until reads prove otherwise.
    mutating func begin() {
        guard !isMeasured else { return }
        isMeasured = true
        hits += Self.credit
    }

    /// Begins the measurement for predictions that should cover nearly every read, as those of a predicted startup pack
    /// do.
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
