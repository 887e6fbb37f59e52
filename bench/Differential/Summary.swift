import Base

/// The result of a run.
struct Summary: Sendable {
    let seed: UInt64
    private(set) var stacks = 0
    private(set) var clean = 0
    private(set) var files = 0
    private(set) var different: [Int] = []
    private(set) var refused = 0
    private(set) var tally: [String: Int] = [:]
    private var unpackedTimes = 0
    private var listedWhiteouts = 0
    private let began = MonotonicTime.now()

    init(seed: UInt64) {
        self.seed = seed
    }

    /// Counts a stack, and prints its differences.
    mutating func add(_ stack: Stack, _ outcome: Rig.Outcome) {
        stacks += 1
        switch outcome {
        case .same(let tree):
            clean += 1
            files += tree.files.count
            unpackedTimes += tree.unpackedTimes
            listedWhiteouts += tree.listedWhiteouts
            tally.merge(stack.tally, uniquingKeysWith: +)
        case .refused(let why):
            refused += 1
            print("stack \(stack.number): containerd refuses it: \(why.suffix(160))")
        case .different(let differences): fail(stack, differences)
        case .notStreamed(let why): fail(stack, ["not streamed: \(why)"])
        }
    }

    private mutating func fail(_ stack: Stack, _ differences: [String]) {
        different.append(stack.number)
        print("stack \(stack.number) (\(stack.form.rawValue)) differs; replay: make differential SEED=\(seed) FIRST=\(stack.number) COUNT=1")
        for line in differences.prefix(12) { print("  \(line)") }
        if differences.count > 12 { print("  and \(differences.count - 12) more") }
    }

    mutating func add(_ other: Summary) {
        stacks += other.stacks
        clean += other.clean
        files += other.files
        different += other.different
        refused += other.refused
        unpackedTimes += other.unpackedTimes
        listedWhiteouts += other.listedWhiteouts
        tally.merge(other.tally, uniquingKeysWith: +)
    }

    /// True if no stack differs and, if asked for, every kind of entry occurred.
    func isClean(checksMinimum: Bool) -> Bool {
        different.isEmpty
    }

    func show() {
        for (kind, count) in tally.sorted(by: { $0.key < $1.key }) { print("  \(count)\t\(kind)") }
        let seconds = Double(MonotonicTime.now().since(began)) / 1e9
        print(
            """
            \(stacks) stacks, \(clean) the same (\(files) files), \(different.count) different, \(refused) refused by \
            containerd; left out: \(unpackedTimes) times of unpacking, \(listedWhiteouts) whiteouts that overlayfs lists; \
            \(Int(seconds)) s
            """)
    }
}
