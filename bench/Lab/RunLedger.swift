/// The record of all runs of a program, a text file. Each line is one part of a run, with tabs between its fields:
/// commit, number of the first test, count of tests, and the program's own fields.
public struct RunLedger: Sendable {
    private let path: String
    private let header: String

    /// - Parameter columns: the names of the program's own fields.
    public init(_ path: String, columns: [String]) {
        self.path = path
        header = (["commit", "first", "count"] + columns).joined(separator: "\t") + "\n"
    }

    /// Returns the number after the last recorded test.
    ///
    /// - Parameter isMeant: returns true for the lines that count, by the program's own fields.
    public func next(where isMeant: ([Substring]) -> Bool = { _ in true }) -> Int {
        guard let text = try? Files.text(path) else { return 0 }
        var next = 0
        for line in text.split(separator: "\n").dropFirst() {
            let fields = line.split(separator: "\t", omittingEmptySubsequences: false)
            guard fields.count > 3, let first = Int(fields[1]), let count = Int(fields[2]), isMeant(Array(fields[3...]))
            else { continue }
            next = max(next, first + count)
        }
        return next
    }

    /// Adds a line for the tests `numbers`.
    public func append(commit: String, numbers: Range<Int>, _ fields: [String]) throws(LabError) {
        let text = (try? Files.text(path)) ?? header
        let line = ([commit, "\(numbers.lowerBound)", "\(numbers.count)"] + fields).joined(separator: "\t")
        try Files.write(path, text + line + "\n")
    }
}
