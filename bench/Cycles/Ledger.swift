import Lab

/// The record of all runs, a file in which each line is one part of a run and its census, with tabs between the fields.
struct Ledger: Sendable {
    private let path: String

    init(_ path: String) {
        self.path = path
    }

    private static let header =
        "commit\tfirst\tcount\tseconds\tdescriptors\tmappings\tthreads\tMiB\tfiles\trows\tmounts\tresult\n"

    /// Returns the number after the last cycle.
    func next() -> Int {
        guard let text = try? Files.text(path) else { return 0 }
        var next = 0
        for line in text.split(separator: "\n").dropFirst() {
            let fields = line.split(separator: "\t")
            guard fields.count >= 3, let first = Int(fields[1]), let count = Int(fields[2]) else { continue }
            next = max(next, first + count)
        }
        return next
    }

    /// Adds a line for the cycles `numbers`.
    func append(commit: String, numbers: Range<Int>, seconds: Int, _ census: Census, _ result: String) throws {
        let text = (try? Files.text(path)) ?? Self.header
        let totals = Census.Group.allCases.map { "\(census.total($0))" }.joined(separator: "\t")
        let line = "\(commit)\t\(numbers.lowerBound)\t\(numbers.count)\t\(seconds)\t\(totals)\t\(result)\n"
        try Files.write(path, text + line)
    }
}
