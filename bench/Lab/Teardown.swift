import Base

/// What has to be undone, in the reverse order of how it was done.
///
/// Everything that a lab starts or mounts is added here before it can fail, and ``run()`` undoes it all exactly once,
/// whoever calls it first: the end of the work, an error, or a signal. Once that has begun, whatever is added is undone
/// on the spot and its adder told so.
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

    /// Remembers how to undo something. `undo` runs on the thread that takes down, may block for a bounded time, and
    /// must bear that what it undoes is gone already.
    /// - Throws: `closing`, after having called `undo`, when the teardown has begun.
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

    /// A part of this one that can be undone earlier by itself.
    public func nested(_ name: String) throws(LabError) -> Teardown {
        let part = Teardown()
        try add(name) { part.run() }
        return part
    }

    /// Whether it has begun: what fails from then on fails because of it.
    public var hasBegun: Bool { state.withLock { $0.phase != .open } }

    /// Undoes everything, last first. A second caller waits until the first is through.
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
