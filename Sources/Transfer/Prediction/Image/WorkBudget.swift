/// A limit on the work for one container start. The image is untrusted, and it determines how many paths are looked up
/// and how many names are read. So the budget bounds the work of the whole start, and the work of each turn (the
/// handling of one client command).
///
/// One step stands for one name, looked up or read from a directory, or for ``bytesPerStep`` bytes of a file. A step
/// takes some 100 ns. Once the budget is spent, lookups find nothing.
final class WorkBudget {
    /// The number of bytes of a file that one step stands for.
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

    /// Takes `count` steps off the budget, or all remaining steps if there are fewer. If the budget is already spent,
    /// returns false and takes nothing.
    @discardableResult
    func spend(_ count: Int = 1) -> Bool {
        guard !isSpent, count >= 0 else { return false }
        steps -= min(steps, count)
        turn -= min(turn, count)
        return true
    }
}
