import Lab
import Linux

/// The record of all runs, a file in which each line is one part of a run: commit, first stack, count, seed, result and
/// differences, with tabs between them.
struct Ledger {
    private let path: String

    init(_ path: String) {
        self.path = path
    }

    private static let header = "commit\tfirst\tcount\tseed\tresult\tdifferences\n"

    /// Returns the number after the last stack that was run with `seed`.
    func next(seed: UInt64) -> Int {
        guard let text = try? Files.text(path) else { return 0 }
        var next = 0
        for line in text.split(separator: "\n").dropFirst() {
            let fields = line.split(separator: "\t")
            guard fields.count >= 4, let first = Int(fields[1]), let count = Int(fields[2]), fields[3] == "\(seed)"
            else {
                continue
            }
            next = max(next, first + count)
        }
        return next
    }

    /// Adds a line for the stacks `numbers`.
    func append(commit: String, numbers: Range<Int>, _ summary: Summary) throws {
        let text = (try? Files.text(path)) ?? Self.header
        let failed = summary.different.sorted().map(String.init).joined(separator: ",")
        let line =
            "\(commit)\t\(numbers.lowerBound)\t\(numbers.count)\t\(summary.seed)\t"
            + "\(summary.clean) same, \(summary.different.count) different, \(summary.refused) refused\t"
            + "\(failed.isEmpty ? "-" : failed)\n"
        try Files.write(path, text + line)
    }
}
