import Base
import Lab

/// Starts everything, runs the pod in each mode from cold, reports, and takes everything down.
struct Demo: Sendable {
    let modes: [DemoMode]
    let link: String
    let shape: LinkShape
    let cache: ImageCache
    let stargz: String?
    let output: String?
    let trace: Bool
    let keepLogs: Bool
    private let lab: Lab
    private let progress = ProgressDisplay()
    private let recipe = ImageRecipe.numpy

    /// Makes the scratch directory and sees to it that signals take everything down.
    init(
        modes: [DemoMode], link: String, shape: LinkShape, cache: ImageCache, scratch: String, stargz: String?,
        output: String?, trace: Bool, keepLogs: Bool
    ) throws {
        self.modes = modes
        self.link = link
        self.shape = shape
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
        let image = try await cache.image(recipe, in: lab) { [progress] in progress.step($0) }
        let registry = try await RegistryServer(in: lab, storage: image.registryStorage)
        var report = DemoReport(image: recipe.repository, link: link)
        for mode in modes {
            let sample = try await sample(mode, image: image, registry: registry)
            report.add(sample, for: mode)
            progress.clearFigures()
            if trace { print(DemoReport.trace(sample, of: mode)) }
        }
        progress.stop()
        print(report.table())
        if let output { try Files.write(output, try report.json()) }
    }

    private func sample(
        _ mode: DemoMode, image: ImageCache.Entry, registry: RegistryServer
    ) async throws -> DemoSample {
        progress.step("\(mode.rawValue): starting cold")
        return try await Node.with(
            mode.rawValue, in: lab, snapshotter: try snapshotter(mode), registry: registry, shape: shape,
            pauseArchive: image.pauseArchive
        ) { node in
            try await blocking {
                try PageCache.drop()
                // The registry is another machine in real life, and has served this image before.
                try PageCache.warm(image.registryStorage)
            }
            return try await sample(mode, on: node)
        }
    }

    private func sample(_ mode: DemoMode, on node: Node) async throws -> DemoSample {
        let relay = node.relay
        relay.forget()
        let figures: @Sendable () -> String = {
            let counts = relay.counts
            return "\(Format.megabytes(counts.bytes)), \(counts.requests) requests"
        }
        let pod = try await Pod(
            .init(name: "demo-\(mode.rawValue)", image: recipe.reference(mode.form)), in: lab, client: node.client
        ) { [progress] in progress.step("\(mode.rawValue): \($0)", figures: figures) }
        progress.step("\(mode.rawValue): waiting for ready", figures: figures)
        let ready = try await pod.waitForLine("ready")
        let record = relay.record
        let usage = node.daemon.flatMap { ProcessUsage(of: $0.process.pid) }
        progress.step("\(mode.rawValue): taking down")
        try await pod.remove()
        let marks = pod.marks
        return DemoSample(
            sandbox: Self.seconds(marks.asked, marks.sandbox), pull: Self.seconds(marks.sandbox, marks.pulled),
            create: Self.seconds(marks.pulled, marks.created), start: Self.seconds(marks.created, marks.started),
            ready: Self.seconds(marks.asked, ready), bytes: record.bytes, requests: record.requests.count,
            began: marks.asked, record: record, daemon: usage)
    }

    private func snapshotter(_ mode: DemoMode) throws -> Node.Snapshotter {
        switch mode {
        case .overlayfs: return .overlayfs
        case .rivulet: return .rivulet(options: "")
        case .stargz:
            guard let stargz else { throw LabError(.usage, "the mode stargz needs --stargz, its daemon's program") }
            return .stargz(program: stargz)
        }
    }

    private func copyLogs() {
        let target = output.map { "\($0).logs" } ?? "demo.logs"
        let log = lab.logDirectory
        _ = try? ChildProcess("cp", ["cp", "-rT", log, target], log: "/dev/null").wait(timeout: 10_000_000_000)
    }

    private static func seconds(_ from: MonotonicTime, _ to: MonotonicTime) -> Double {
        Double(to.since(from)) / 1e9
    }
}
