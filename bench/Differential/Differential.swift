import ArgumentParser
import Base
import Lab

/// `make differential`: compares Rivulet's files with those of containerd's own pull, for random images.
struct Differential: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "Differential",
        abstract: "Compare random images with containerd's own pull.",
        discussion: """
            Each stack of layers depends only on the seed and its number. Exits with 1 if a stack differs.

            Example:
              Differential --seed 1 --count 100
            """)

    @Option(help: "The seed of the stacks. Default: a random one, which is printed.")
    var seed: UInt64?

    @Option(help: "The number of stacks.")
    var count = 100

    @Option(help: "The number of the first stack. Default: the one after the ledger's last, or 0 without a ledger.")
    var first: Int?

    @Option(help: "The ledger, to which the run adds its result. Default: none.")
    var ledger: String?

    @Option(help: "The commit that the ledger names. Default: none.")
    var commit = "-"

    @Option(help: "The stacks in progress at the same time.")
    var parallel = 3

    @Option(help: "The stacks between two restarts of all parts, which free what they keep.")
    var restart = 500

    @Option(help: "The directory of the scratch directory; not on an overlay.")
    var scratch = "/var/tmp"

    @Flag(help: "Print each entry of the stacks instead of running them.")
    var list = false

    func run() async throws {
        let seed = seed ?? UInt64.random(in: 0...UInt64(UInt32.max))
        let ledger = ledger.map { RunLedger($0, columns: ["seed", "result", "differences"]) }
        let first = first ?? ledger?.next { $0.first == "\(seed)" } ?? 0
        if list {
            for number in first..<first + count { StackListing.show(StackGenerator.stack(number, seed: seed)) }
            return
        }
        print("seed \(seed), stacks \(first) to \(first + count - 1)")
        var summary = Summary(seed: seed)
        var next = first
        let teardown = Teardown()
        try SignalGuard.install(teardown)
        while next < first + count {
            let numbers = next..<min(next + restart, first + count)
            let part = try await Self.part(
                numbers, seed: seed, parallel: parallel, scratch: scratch, teardown: teardown)
            summary.add(part)
            let different = part.different.sorted().map(String.init).joined(separator: ",")
            try ledger?.append(
                commit: commit, numbers: numbers,
                [
                    "\(seed)",
                    "\(part.clean) same, \(part.different.count) different, \(part.refused) refused",
                    different.isEmpty ? "-" : different,
                ])
            next = numbers.upperBound
        }
        summary.show()
        guard summary.isClean(checksMinimum: count >= 100) else { throw ExitCode(1) }
    }

    private static func part(
        _ numbers: Range<Int>, seed: UInt64, parallel: Int, scratch: String, teardown: Teardown
    ) async throws -> Summary {
        try await Lab.with(parent: scratch) { lab in
            try teardown.add("lab") { lab.teardown.run() }
            let rig = try await Rig(in: lab)
            var summary = Summary(seed: seed)
            try await withThrowingTaskGroup(of: (Stack, Rig.Outcome).self) { group in
                var waiting = numbers.makeIterator()
                func start() {
                    guard let number = waiting.next() else { return }
                    group.addTask {
                        let stack = StackGenerator.stack(number, seed: seed)
                        return (stack, try await rig.run(stack))
                    }
                }
                for _ in 0..<parallel { start() }
                while let (stack, outcome) = try await group.next() {
                    summary.add(stack, outcome)
                    start()
                }
            }
            summary.add(refusedLayers: try await rig.refusedLayers())
            await rig.close()
            return summary
        }
    }
}
