import Base

/// How well what readers of a layer want has been predicted.
///
/// Where predictions foresee nearly all of it, guessing by place as well brings mostly what nobody reads: numpy's start moved
/// 28.6 MB with both and 19.9 MB with predictions alone, and was ready later (3.13 s against 2.80 s on wan). What they do not
/// foresee, though, lies together: guessing a little by place made python-sci's start 12.0 s instead of 15.2 s on wan, with 187
/// requests instead of 250, and numpy's no later (256 KiB; 128 KiB 12.8 s, 32 KiB 14.0 s).
struct Foresight: Sendable {
    /// Reads that are remembered: more, and the older half counts half.
    private static let memory = 64
    /// After so many reads that a start which was seen had not made, the container runs something else.
    private static let patience = 16

    private var hits = 0
    private var misses = 0
    private var isBegun = false
    /// Until when what a start reads that was seen is held to be all that is read.
    private var knownUntil = MonotonicTime(nanoseconds: 0)
    /// What was wanted although that start had not read it.
    private var surprises = 0

    /// Whether guesses are not needed.
    func isKnown(_ now: MonotonicTime) -> Bool { now < knownUntil && surprises < Self.patience }

    /// All that a start has read that was seen is coming: it will be over at `end`. Another image may have the layer as well,
    /// and start later.
    mutating func know(until end: MonotonicTime, _ now: MonotonicTime) {
        if now >= knownUntil { surprises = 0 }
        knownUntil = end
    }

    /// Something of the layer has been predicted.
    mutating func predicted() {
        guard !isBegun else { return }
        isBegun = true
        // Taken on trust until it has shown itself.
        hits += 4
    }

    /// Nearly all that will be read has been predicted, and is coming.
    mutating func trust() {
        // Once: what is read shows whether it is so.
        guard !isBegun else { return }
        isBegun = true
        (hits, misses) = (Self.memory, 0)
    }

    /// Something was read that had been predicted.
    mutating func foreseen() {
        hits += 1
        forget()
    }

    /// Something was wanted that had not been.
    mutating func missed() {
        misses += 1
        surprises += 1
        forget()
    }

    private mutating func forget() {
        guard hits + misses > Self.memory else { return }
        hits /= 2
        misses /= 2
    }

    /// Whether three quarters of what was read was predicted.
    var isGood: Bool { isBegun && hits >= misses * 3 }
}
