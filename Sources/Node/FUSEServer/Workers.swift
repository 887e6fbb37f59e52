import Base
import Linux

/// The threads that serve one session.
final class Workers: Sendable {
    private struct State {
        var running: Int
        var expected = false
    }

    private let state: Guarded<State>
    private let threads: [NamedThread]

    /// Starts `count` threads. The last thread to end calls `lost`, unless ``expectEnd()`` was called before.
    init(_ session: Session, count: Int, lost: @escaping @Sendable () -> Void) throws(FUSEError) {
        let state = Guarded(State(running: count))
        self.state = state
        var threads: [NamedThread] = []
        for index in 0..<count {
            do {
                threads.append(
                    try NamedThread(name: "fuse-\(index)") {
                        session.serve()
                        let isLast = state.withLockBroadcasting { state in
                            state.running -= 1
                            return state.running == 0 && !state.expected
                        }
                        if isLast { lost() }
                    })
            } catch {
                // The threads that already run end with the connection, which the caller aborts.
                state.withLock { $0.expected = true }
                throw FUSEError(.system, "failed to start a thread", cause: error)
            }
        }
        self.threads = threads
    }

    var areRunning: Bool { state.withLock { $0.running == threads.count } }

    /// Announces that the connection will end on purpose, so that the last thread does not report a lost connection.
    func expectEnd() {
        state.withLock { $0.expected = true }
    }

    /// Waits at most `timeout` nanoseconds until every thread has ended.
    ///
    /// - Returns: true if all threads have ended.
    func join(timeout: UInt64) -> Bool {
        guard state.waitUntil(timeout: timeout, { $0.running == 0 ? true : nil }) == true else { return false }
        for thread in threads { thread.join() }
        return true
    }
}
