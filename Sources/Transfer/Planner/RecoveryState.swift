import Base

/// The state of a layer's recovery.
///
/// A recovery reads the layer's own blob once, from its first byte, and decodes it in order. It needs neither ranges of
/// the blob nor anything else that a registry may have lost, such as a copy of the blob or the data for restarting a
/// decoder. But it may read far more than a reader needs. So it runs once at a time, and not again soon after a
/// failure.
struct RecoveryState: Sendable {
    /// The answer to a request for a recovery.
    enum Answer: Hashable, Sendable {
        /// The caller must begin a recovery.
        case begin
        /// A recovery is running.
        case join
        /// A recovery failed recently.
        case refuse
    }

    private var isRunning = false
    private var failures = 0
    private var notBefore = MonotonicTime(nanoseconds: 0)

    mutating func request(_ now: MonotonicTime) -> Answer {
        if isRunning { return .join }
        guard now >= notBefore else { return .refuse }
        isRunning = true
        return .begin
    }

    /// Records the end of the recovery. After a failure, the next recovery must wait for `first` nanoseconds. This
    /// pause doubles with each further failure, up to `longest`.
    mutating func end(failed: Bool, first: UInt64, longest: UInt64, now: MonotonicTime) {
        isRunning = false
        guard failed else {
            failures = 0
            return
        }
        let pause = min(first &<< UInt64(min(failures, 20)), longest)
        failures += 1
        notBefore = now.advanced(by: pause)
    }
}
