import Glibc

extension Sys {
    /// `SCHED_IDLE` of linux/sched.h, which Glibc's module does not export.
    private static let idlePolicy: Int32 = 5

    /// Makes the calling thread run only when a processor is idle (sched(7), `SCHED_IDLE`). Ignores a failure.
    ///
    /// Call this only on threads that do nothing but background work: on some systems, a thread cannot leave this
    /// policy again.
    public static func makeThreadIdle() {
        var parameters = sched_param()
        parameters.sched_priority = 0
        // On Linux, 0 means the calling thread.
        _ = sched_setscheduler(0, idlePolicy, &parameters)
    }
}
