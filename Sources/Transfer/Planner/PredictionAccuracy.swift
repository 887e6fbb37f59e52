/// The share of a layer's reads that were predicted.
///
/// If predictions cover nearly all reads, read-ahead and read-around (see ``ReadAround``) mostly fetch bytes that no
/// process reads. On the bench network `wan` (50 ms, 100 Mbit/s), the image numpy was ready after 3.13 s and 28.6 MB
/// with predictions, read-ahead and read-around. With predictions alone, numpy was ready after 2.80 s and 19.9 MB.
///
/// The reads that predictions miss are close together, though, so a little read-around still pays off. On `wan`, the
/// image python-sci started in 15.2 s with 250 requests and no read-around. With a read-around of 256 KiB, it started
/// in 12.0 s with 187 requests. With 128 KiB, the start took 12.8 s; with 32 KiB, 14.0 s. The start of numpy did not
/// change.
struct PredictionAccuracy: Sendable {
    /// The sum of ``hits`` and ``misses`` above which both are halved, so that older reads count less.
    private static let memory = 64
    /// The number of hits that ``begin()`` adds in advance.
    private static let credit = 4

    private var hits = 0
    private var misses = 0
    private var isMeasured = false

    /// True if at least three quarters of the recent reads were predicted; false before the measurement begins.
    var isHigh: Bool { isMeasured && hits >= misses * 3 }

    /// Begins the measurement, because the planner fetches something for a prediction. Adds ``credit`` hits in advance,
    /// so that a single miss does not make the accuracy low. Keeps the misses that were recorded before this call.
    /// Later calls do nothing.
    mutating func begin() {
        guard !isMeasured else { return }
        isMeasured = true
        hits += Self.credit
    }

    /// Begins the measurement with ``memory`` hits and no misses. This is for predictions that should cover nearly
    /// every read, such as a predicted startup pack. Does nothing if the measurement has begun.
    mutating func beginTrusted() {
        guard !isMeasured else { return }
        isMeasured = true
        (hits, misses) = (Self.memory, 0)
    }

    /// Records the first read of an extent that was fetched for a prediction.
    mutating func recordHit() {
        hits += 1
        age()
    }

    /// Records a read of a missing extent that was not being fetched for a prediction.
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
