import Harness
import Lab

/// The demonstration, which starts everything, runs the pod in each mode from cold, reports, and removes everything.
struct Demo: Sendable {
    let modes: [any Mode]
    let link: Link
    let cache: ImageCache
    let stargz: String?
    let output: String?
    let trace: Bool
    let keepLogs: Bool
    private let lab: Lab
    private let progress = ProgressDisplay()
    private let recipe: ImageRecipe

    /// Creates the scratch directory and installs the signal handlers that remove everything.
    init(
        recipe: ImageRecipe, modes: [any Mode], link: Link, cache: ImageCache, scratch: String, stargz: String?,
        output: String?,
        trace: Bool, keepLogs: Bool
    ) throws {
        self.recipe = recipe
        self.modes = modes
        self.link = link
        self.cache = cache
        self.stargz = stargz
        self.output = output
        self.trace = trace
        self.keepLogs = keepLogs
        lab = try Lab(parent: scratch)
        try SignalGuard.install(lab.teardown)
    }

    func run() async throws {
        progress.start()
        let outcome: Result<Void, any Error>
        do {
            try await measure()
            outcome = .success(())
        } catch {
            outcome = .failure(error)
        }
        progress.stop()
        if keepLogs { copyLogs() }
        await blocking { [lab] in lab.teardown.run() }
        try outcome.get()
    }

    private func measure() async throws {
        progress.step("preparing the image")
        let forms = Set(modes.map(\.form))
        let entry = try await cache.image(recipe, forms: forms, in: lab) { [progress] in progress.step($0) }
        let image = try await ServedImage(entry, forms: forms, in: lab)
        var report = DemoReport(image: recipe.repository, link: link.name)
        let runner = SampleRunner(
            lab: lab, image: image, link: link, programs: Programs(stargz: stargz), progress: progress)
        for mode in modes {
            let sample = try await runner.run(mode)
            report.add(sample, for: mode.name)
            progress.clearFigures()
            if trace { print(DemoReport.trace(sample, of: mode.name)) }
        }
        progress.stop()
        print(report.table())
        if let output { try Files.write(output, try report.json()) }
    }

    private func copyLogs() {
        let target = output.map { "\($0).logs" } ?? "demo.logs"
        let log = lab.logDirectory
        _ = try? ChildProcess("cp", ["cp", "-rT", log, target], log: "/dev/null").wait(timeout: 10_000_000_000)
    }
}
