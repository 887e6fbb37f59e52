import Base
import Linux

/// The threads of one session.
final class Workers: Sendable {
    private struct State {
        var running: Int
        var expected = false
    }

    private let state: Guarded<State>
    private let threads: [NamedThread]

    /// Starts `count` threads. The last one to leave calls `lost`, unless ``expectEnd()`` was called before.
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
                // The running ones end with the connection, which the caller aborts.
                state.withLock { $0.expected = true }
                throw FUSEError(.system, "failed to start a thread", cause: error)
            }
        }
        self.threads = threads
    }

    var areRunning: Bool { state.withLock { $0.running == threads.count } }

    /// Announces that the connection is about to be ended on purpose.
    func expectEnd() {
        state.withLock { $0.expected = true }
    }

    /// Waits until every thread has left, for at most `timeout` nanoseconds.
    /// - Returns: true if they have.
    func join(timeout: UInt64) -> Bool {
        guard state.waitUntil(timeout: timeout, { $0.running == 0 ? true : nil }) == true else { return false }
        for thread in threads { thread.join() }
        return true
    }
}
