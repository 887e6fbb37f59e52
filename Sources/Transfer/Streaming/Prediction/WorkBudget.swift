/// The work that one start may still cost: outside data decides how many paths are looked up and how many names are read, so
/// the sum of all has a bound.
///
/// One step is a name looked up or read from a directory, a chunk, or ``bytesPerStep`` bytes of a file: some 100 ns each.
final class WorkBudget {
    /// The bytes of a file that one step covers.
    static let bytesPerStep: UInt64 = 64

    private var steps: Int

    init(steps: Int = 1 << 25) {
        self.steps = steps
    }

    var isSpent: Bool { steps <= 0 }

    /// Takes `count` steps off and returns whether the budget allowed them.
    @discardableResult
    func spend(_ count: Int = 1) -> Bool {
        guard steps > 0, count >= 0 else { return false }
        steps -= min(steps, count)
        return true
    }
}
