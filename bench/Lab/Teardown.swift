public import Base

/// The actions that undo everything in a lab, in reverse order.
///
/// Everything that a lab starts or mounts is added here before it can fail. ``run()`` undoes all of it exactly once,
/// whether the work ends, an error occurs or a signal arrives. After that, anything that is added is undone at once,
/// and the addition is refused.
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

    /// Registers an action. `undo` runs on the thread of the teardown. It may block for a bounded time, and must
    /// tolerate that its subject is already gone.
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

    /// Returns a part of this teardown that can run earlier.
    public func nested(_ name: String) throws(LabError) -> Teardown {
        let part = Teardown()
        try add(name) { part.run() }
        return part
    }

    /// True once the teardown has begun, which causes any later failure.
    public var hasBegun: Bool { state.withLock { $0.phase != .open } }

    /// Undoes everything, last action first. A second caller waits for the first one.
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
