import ArgumentParser
import Harness
import Lab

/// `PodReady grid`: images × networks × modes, in randomised complete blocks.
struct GridCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "grid",
        abstract:
            "Measures images on networks in modes, and goes on where an earlier run of the same name was interrupted.")

    @Option(help: "The results go to NAME.jsonl.")
    var name: String

    @Option(help: "Images, separated by commas; all of them when not given.")
    var images: String?

    @Option(help: "full or small.")
    var edition = "full"

    @Option(
        help: """
            Links, separated by commas: \(LinkShape.named.keys.sorted().joined(separator: ", ")); with /cap=MBIT, \
            /loss=PROBABILITY, /reset=BYTES, /outage=AFTER:SECONDS, /seed=NUMBER behind them.
            """)
    var networks = "lan,region,shaped,wan,edge"

    @Option(help: "Modes, separated by commas: \(Modes.all.map(\.name).joined(separator: ", ")).")
    var modes = Modes.usual.joined(separator: ",")

    @Option(help: "How often each is measured.")
    var blocks = 10

    @Flag(help: "Also measures rivulet under the name rivulet-aa, to see how much is chance.")
    var aa = false

    @Option(help: "Decides the order; chosen and written down when not given.")
    var seed: UInt64?

    @Flag(help: "Does not wait, after the application is ready, until all of the image is local.")
    var noComplete = false

    @Option(help: "How many seconds a pod may take until it is ready; by default what suits the link.")
    var limit: UInt64?

    @Option(help: "Where results are.")
    var results = "bench/results"

    @Option(help: "Where built images are kept.")
    var cache: String

    @Option(help: "Where the scratch directory is made; not on an overlay.")
    var scratch = "/var/tmp"

    @Option(help: "The stargz-snapshotter daemon, for the modes of stargz.")
    var stargz: String?

    func validate() throws {
        guard blocks > 0 else { throw ValidationError("there must be a block at least") }
        guard !name.isEmpty, !name.contains("/") else { throw ValidationError("the name is that of a file") }
    }

    func run() async throws {
        guard let edition = ImageEdition(rawValue: edition) else {
            throw ValidationError("there is no edition '\(edition)'; there are full and small")
        }
        let path = "\(results)/\(name).jsonl"
        let content = try ResultsFile.read(path)
        // A file without a sample decides nothing.
        let earlier = content.samples.isEmpty ? nil : content.header
        if earlier == nil, Files.exists(path) { try Files.write(path, "") }
        var modes = try Modes.list(modes).map(\.name)
        if aa { modes += ["rivulet", "rivulet-aa"].filter { !modes.contains($0) } }
        let images = images.map { $0.split(separator: ",").map(String.init) } ?? ImageRecipe.all(edition).map(\.name)
        let plan = GridPlan(
            images: images, edition: edition, networks: try Link.list(networks).map(\.name), modes: modes,
            blocks: blocks, seed: seed ?? earlier?.grid.seed ?? .random(in: 1...999_999), complete: !noComplete)
        let lab = try Lab(parent: scratch)
        try SignalGuard.install(lab.teardown)
        let progress = ProgressDisplay()
        progress.start()
        let outcome: Result<Int, any Error>
        do {
            outcome = .success(try await run(plan, after: earlier, path: path, in: lab, progress))
        } catch {
            outcome = .failure(error)
        }
        progress.stop()
        await blocking { lab.teardown.run() }
        let failures = try outcome.get()
        let summary = Summary(try ResultsFile.read(path))
        print(summary.table())
        try summary.write(beside: path)
        if failures > 0 { throw ExitCode(1) }
    }

    private func run(
        _ plan: GridPlan, after earlier: HeaderRecord?, path: String, in lab: Lab, _ progress: ProgressDisplay
    ) async throws -> Int {
        if let earlier,
            let difference = earlier.difference(from: try await HeaderRecord(name: name, grid: plan, in: lab))
        {
            throw LabError(.usage, "\(path) holds results of something else (\(difference)): choose another name")
        }
        let grid = try Grid(
            plan, in: lab, cache: ImageCache(directory: cache), programs: Programs(stargz: stargz),
            results: try ResultsFile(path), progress: progress, limit: limit)
        return try await grid.run(learning: Durations(from: results)) { forecast in
            progress.note(
                "\(forecast.left) samples to take, \(forecast.done) are there; about "
                    + "\(Format.duration(forecast.seconds)); seed \(plan.seed)")
        }
    }
}
