import Base

/// A gate that holds requests until it is opened. A test uses it to observe concurrent requests without a clock.
public final class Gate: Sendable {
    private struct State {
        var isOpen = false
        var held: [CheckedContinuation<Void, Never>] = []
        var watchers: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }

    let kind: RequestKind
    private let state = Guarded(State())

    init(_ kind: RequestKind) {
        self.kind = kind
    }

    /// The number of held requests.
    public var heldCount: Int { state.withLock { $0.held.count } }

    /// Waits until the gate holds at least `count` requests, or is open.
    public func waitUntilHeld(_ count: Int) async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state -> Bool in
                if state.isOpen || state.held.count >= count { return true }
                state.watchers.append((count, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }

    /// Releases all requests: those that it holds, and all later ones.
    public func open() {
        let waiting = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            state.isOpen = true
            defer {
                state.held = []
                state.watchers = []
            }
            return state.held + state.watchers.map(\.continuation)
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Waits until the gate is open. The server calls this method for each request.
    func pass() async {
        await withCheckedContinuation { continuation in
            let (passes, reached) = state.withLock { state -> (Bool, [CheckedContinuation<Void, Never>]) in
                if state.isOpen { return (true, []) }
                state.held.append(continuation)
                let count = state.held.count
                let reached = state.watchers.filter { $0.count <= count }.map(\.continuation)
                state.watchers.removeAll { $0.count <= count }
                return (false, reached)
            }
            for watcher in reached { watcher.resume() }
            if passes { continuation.resume() }
        }
    }
}
