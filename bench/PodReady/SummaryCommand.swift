import ArgumentParser
import Harness
import Lab

/// `PodReady summary`: prints and writes the summary of a results file.
struct SummaryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "summary", abstract: "Print the summary of a results file and write it as JSON.")

    @Argument(help: "A results file (.jsonl).")
    var results: String

    func run() throws {
        guard Files.exists(results) else { throw ValidationError("\(results) does not exist") }
        let summary = Summary(try ResultsFile.read(results))
        print(summary.table())
        try summary.write(beside: results)
    }
}
