/// A limit on the analyzer's work for one container start. The image is untrusted, and its files determine how many
/// names the analyzer looks up or reads. So the budget limits the work of the whole start, and also the work of each
/// turn (the handling of one client command).
///
/// The unit of work is a step, which takes some 100 ns. The analyzer spends one step for each name that it looks up or
/// reads from a directory. It also spends one step for each ``bytesPerStep`` bytes of a file that it analyzes. Once the
/// budget is spent, lookups find nothing.
final class WorkBudget {
    /// The number of bytes of a file for which the analyzer spends one step.
    static let bytesPerStep = 64

    private var steps: Int
    private var turn: Int
    private let stepsPerTurn: Int

    init(steps: Int = 1 << 25, stepsPerTurn: Int = 1 << 22) {
        self.steps = steps
        self.stepsPerTurn = stepsPerTurn
        turn = stepsPerTurn
    }

    /// True if no steps are left, either in this turn or in the whole start.
    var isSpent: Bool { min(steps, turn) <= 0 }

    /// Starts a turn. Unused steps of the last turn are not carried over.
    func beginTurn() {
        turn = stepsPerTurn
    }

    /// Takes `count` steps off the budget, or all remaining steps if there are fewer, and returns true. If the budget
    /// is already spent, returns false and takes nothing.
    @discardableResult
    func spend(_ count: Int = 1) -> Bool {
        guard !isSpent, count >= 0 else { return false }
        steps -= min(steps, count)
        turn -= min(turn, count)
        return true
    }
}
