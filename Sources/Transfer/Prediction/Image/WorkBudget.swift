/// The work that one start may still cost: outside data decides how many paths are looked up and how many names are
/// read, so the sum of all has a bound, and so has each turn.
///
/// One step is a name looked up or read from a directory, or ``bytesPerStep`` bytes of a file: some 100 ns each. A
/// lookup without budget finds nothing.
final class WorkBudget {
    /// The bytes of a file that one step covers.
    static let bytesPerStep = 64

    private var steps: Int
    private var turn: Int
    private let stepsPerTurn: Int

    init(steps: Int = 1 << 25, stepsPerTurn: Int = 1 << 22) {
        self.steps = steps
        self.stepsPerTurn = stepsPerTurn
        turn = stepsPerTurn
    }

    /// True when nothing more can be looked up in this turn.
    var isSpent: Bool { min(steps, turn) <= 0 }

    /// Starts a turn: what the last one did not use is not carried over.
    func beginTurn() {
        turn = stepsPerTurn
    }

    /// Takes `count` steps off and returns whether the budget allowed them.
    @discardableResult
    func spend(_ count: Int = 1) -> Bool {
        guard !isSpent, count >= 0 else { return false }
        steps -= min(steps, count)
        turn -= min(turn, count)
        return true
    }
}
