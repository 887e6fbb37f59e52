import ArgumentParser
import Base
import Concurrency
import Glibc
import Lab
import Synchronization

/// `make cycles`: pulls, reads and removes images, and checks that nothing is left of them.
struct Cycles: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "Cycles",
        abstract: "Pull and remove images, and search for leaks.",
        discussion: """
            Starts containerd, a registry and rivuletd once. After each part of the run, a census counts what the \
            daemon holds. Exits with 1 if a census differs from the one after the first part.

            Example:
              Cycles --count 1000
            """)

    @Option(help: "The number of cycles.")
    var count = 1000

    @Option(help: "The number of the first cycle. Default: the one after the ledger's last, or 0 without a ledger.")
    var first: Int?

    @Option(help: "The ledger, to which the run adds each census. Default: none.")
    var ledger: String?

    @Option(help: "The commit that the ledger names. Default: none.")
    var commit = "-"

    @Option(help: "The cycles between two censuses.")
    var part = 200

    @Option(help: "The cycles in progress at the same time.")
    var parallel = 3

    @Option(help: "The directory of the scratch directory; not on an overlay.")
    var scratch = "/var/tmp"

    func validate() throws {
        guard count > 0, part > 0, parallel > 0 else {
            throw ValidationError("--count, --part and --parallel must be positive")
        }
    }

    func run() async throws {
        let ledger = ledger.map {
            RunLedger(
                $0,
                columns: [
                    "seconds", "descriptors", "mappings", "threads", "MiB", "files", "rows", "mounts", "result",
                ])
        }
        let first = first ?? ledger?.next() ?? 0
        let teardown = Teardown()
        try SignalGuard.install(teardown)
        print("cycles \(first) to \(first + count - 1)")
        let isClean = try await Lab.with(parent: scratch) { lab in
            try teardown.add("lab") { lab.teardown.run() }
            let rig = try await Rig(in: lab)
            let isClean = try await cycle(rig, first: first, ledger: ledger)
            await rig.close()
            return isClean
        }
        guard isClean else { throw ExitCode(1) }
    }

    /// Runs all parts. Returns false at the first census that differs from the one after the first part.
    private func cycle(_ rig: Rig, first: Int, ledger: RunLedger?) async throws -> Bool {
        var baseline: Census?
        var next = first
        while next < first + count {
            let numbers = next..<min(next + part, first + count)
            let began = MonotonicTime.now()
            try await cycle(rig, numbers)
            let seconds = Int(MonotonicTime.now().since(began) / 1_000_000_000)
            let census: Census
            var differences: [String] = []
            if let baseline {
                (census, differences) = try await rig.census(comparedWith: baseline)
            } else {
                census = try await rig.settledCensus()
                print(census.listing)
            }
            let difference = differences.isEmpty ? "as at the start" : differences.joined(separator: "; ")
            let result = baseline == nil ? "baseline" : difference
            let done = numbers.upperBound - first
            print("\(done) cycles, the last \(numbers.count) in \(seconds) s: \(census); \(result)")
            // A run takes hours, and its output often goes to a file.
            fflush(nil)
            try ledger?.append(
                commit: commit, numbers: numbers,
                ["\(seconds)"] + Census.Group.allCases.map { "\(census.total($0))" } + [result])
            guard differences.isEmpty else {
                print(census.listing)
                return false
            }
            baseline = baseline ?? census
            next = numbers.upperBound
        }
        print("\(rig.repeatedPulls.load(ordering: .relaxed)) pulls were repeated because containerd lost a snapshot")
        return true
    }

    /// Runs the cycles `numbers`, some at the same time.
    private func cycle(_ rig: Rig, _ numbers: Range<Int>) async throws {
        _ = try await numbers.concurrentMap(limit: parallel) { try await rig.cycle($0) }
        try rig.emptyRegistry()
    }
}
