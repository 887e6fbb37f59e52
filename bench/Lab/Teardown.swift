public import Base

/// The actions to undo, in reverse order.
///
/// Everything that a lab starts or mounts is added here before it can fail. ``run()`` undoes all of it exactly once,
/// whoever calls it first: the end of the work, an error, or a signal. After that, an addition is undone at once and
/// refused.
public final class Teardown: Sendable {
    private enum Phase {
        case open, running, done
    }

    private struct Step {
        let name: String
        let undo: @Sendable () -> Void
    }

    private struct State {
        var phase = Phase.open
        var steps: [Step] = []
    }

    private let state = Guarded(State())

    public init() {}

    /// Registers an action. `undo` runs on the thread of the teardown, may block for a bounded time, and must tolerate
    /// that its subject is gone.
    /// - Throws: `closing`, after calling `undo`, if the teardown has begun.
    public func add(_ name: String, _ undo: @escaping @Sendable () -> Void) throws(LabError) {
        let added = state.withLock { state in
            guard state.phase == .open else { return false }
            state.steps.append(Step(name: name, undo: undo))
            return true
        }
        if added { return }
        undo()
        throw LabError(.closing, "\(name): everything is being taken down")
    }

    /// Returns a part of this one that can be undone earlier.
    public func nested(_ name: String) throws(LabError) -> Teardown {
        let part = Teardown()
        try add(name) { part.run() }
        return part
    }

    /// True once it has begun: later failures are caused by it.
    public var hasBegun: Bool { state.withLock { $0.phase != .open } }

    /// Undoes everything, last first. A second caller waits for the first.
    public func run() {
        let first = state.withLock { state in
            guard state.phase == .open else { return false }
            state.phase = .running
            return true
        }
        guard first else {
            state.waitUntil { $0.phase == .done ? () : nil }
            return
        }
        while let step = state.withLock({ $0.steps.popLast() }) {
            step.undo()
        }
        state.withLockBroadcasting { $0.phase = .done }
    }
}
