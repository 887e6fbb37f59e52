import ArgumentParser
import Harness
import Lab

/// `PodReady summary`: what the samples of a results file come to.
struct SummaryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "summary", abstract: "Prints what a results file comes to and writes it beside it as JSON.")

    @Argument(help: "A results file (.jsonl).")
    var results: String

    func run() throws {
        guard Files.exists(results) else { throw ValidationError("there is no file \(results)") }
        let summary = Summary(try ResultsFile.read(results))
        print(summary.table())
        try summary.write(beside: results)
    }
}
