import ArgumentParser
import Base
import Harness
import Lab

/// `PodReady grid`: measures images × networks × modes, in randomized complete blocks.
struct GridCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "grid",
        abstract:
            "Measure images on networks in modes, or resume a run.")

    @Option(help: "The name of the run: results go to NAME.jsonl.")
    var name: String

    @Option(help: "Comma-separated images. Default: all.")
    var images: String?

    @Option(help: "full or small.")
    var edition = "full"

    @Option(
        help: """
            Comma-separated links: \(LinkShape.named.keys.sorted().joined(separator: ", ")); with suffixes /cap=MBIT, \
            /loss=PROBABILITY, /reset=BYTES, /outage=AFTER:SECONDS, /seed=NUMBER.
            """)
    var networks = "lan,region,shaped,wan,edge"

    @Option(help: "Comma-separated modes: \(Modes.all.map(\.name).joined(separator: ", ")).")
    var modes = Modes.usual.joined(separator: ",")

    @Option(help: "The number of samples of each combination.")
    var blocks = 10

    @Flag(help: "Also measure rivulet as rivulet-aa, to show the effect of chance.")
    var aa = false

    @Option(help: "The seed of the order. Default: random, and recorded.")
    var seed: UInt64?

    @Flag(help: "Do not wait until all of the image is local.")
    var noComplete = false

    @Option(help: "The time limit for a pod to be ready, in seconds. Default: by the link.")
    var limit: UInt64?

    @Option(help: "The directory of results.")
    var results = "bench/results"

    @Option(help: "Where built images are kept.")
    var cache: String

    @Option(help: "Where the scratch directory is made; not on an overlay.")
    var scratch = "/var/tmp"

    @Option(help: "The stargz-snapshotter daemon, required for the modes of stargz.")
    var stargz: String?

    func validate() throws {
        guard blocks > 0 else { throw ValidationError("--blocks must be at least 1") }
        guard !name.isEmpty, !name.contains("/") else { throw ValidationError("--name must be a file name") }
    }

    func run() async throws {
        guard let edition = ImageEdition(rawValue: edition) else {
            throw ValidationError("unknown edition '\(edition)': use full or small")
        }
        let path = "\(results)/\(name).jsonl"
        let content = try ResultsFile.read(path)
        // A file without samples does not constrain a new run.
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
            throw LabError(.usage, "\(path) has results of another setup (\(difference)): choose another name")
        }
        let grid = try Grid(
            plan, in: lab, cache: ImageCache(directory: cache), programs: Programs(stargz: stargz),
            results: try ResultsFile(path), progress: progress, limit: limit)
        return try await grid.run(learning: Durations(from: results)) { forecast in
            progress.note(
                "\(forecast.left) samples to take, \(forecast.done) done; about "
                    + "\(Format.duration(forecast.seconds)); seed \(plan.seed)")
        }
    }
}
