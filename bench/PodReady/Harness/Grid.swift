public import Base
public import Lab

/// Runs a grid: prepares its images, then takes and records every sample that its results file lacks.
public struct Grid: Sendable {
    public let plan: GridPlan
    public let lab: Lab
    public let cache: ImageCache
    public let programs: Programs
    public let results: ResultsFile
    public let progress: ProgressDisplay
    /// The time limit for a pod to be ready, in seconds; `nil` chooses by the link.
    public let limit: UInt64?
    private let links: [String: Link]
    private let modes: [String: any Mode]
    private let recipes: [ImageRecipe]

    /// The number of times that each local image is started, to measure how soon its application can be ready.
    private static let localStarts = 3
    /// The form whose chunks are counted as needed.
    private static let needsForm = ImageForm.estargz

    public init(
        _ plan: GridPlan, in lab: Lab, cache: ImageCache, programs: Programs, results: ResultsFile,
        progress: ProgressDisplay, limit: UInt64? = nil
    ) throws(LabError) {
        self.plan = plan
        self.lab = lab
        self.cache = cache
        self.programs = programs
        self.results = results
        self.progress = progress
        self.limit = limit
        var links: [String: Link] = [:]
        for name in plan.networks { links[name] = try Link(name) }
        self.links = links
        var modes: [String: any Mode] = [:]
        for mode in try Modes.list(plan.modes.joined(separator: ",")) { modes[mode.name] = mode }
        self.modes = modes
        // A missing program fails here and not in every sample.
        for mode in modes.values { _ = try mode.snapshotter(programs) }
        var recipes: [ImageRecipe] = []
        for name in plan.images { recipes.append(try ImageRecipe.named(name, plan.edition)) }
        self.recipes = recipes
    }

    /// The numbers of samples that are done and left, and an estimate of the time for the rest.
    public struct Forecast: Sendable {
        public let done: Int
        public let left: Int
        public let seconds: Double
    }

    /// Prepares the images and takes the samples. `announce` receives the forecast once it is known.
    /// - Returns: the number of failed samples.
    @discardableResult
    public func run(learning durations: Durations, announce: (Forecast) -> Void) async throws -> Int {
        let content = try ResultsFile.read(results.path)
        if content.header == nil {
            try results.append(try await HeaderRecord(name: Self.name(of: results.path), grid: plan, in: lab))
        }
        let images = try await serve()
        let done = Set(content.samples.map(\.key))
        let left = plan.samples.filter { !done.contains($0) }
        var durations = durations
        func seconds(_ keys: some Sequence<SampleRecord.Key>) -> Double {
            keys.reduce(0) { $0 + durations.seconds($1, bytes: size(images, $1)) }
        }
        announce(Forecast(done: plan.samples.count - left.count, left: left.count, seconds: seconds(left)))
        var needs: [String: NeedsRecord] = [:]
        for record in content.needs { needs[record.image] = record }
        for image in images.values.sorted(by: { $0.recipe.name < $1.recipe.name })
        where needs[image.recipe.name] == nil && left.contains(where: { $0.image == image.recipe.name }) {
            do {
                let record = try await record(image)
                try results.append(record)
                needs[image.recipe.name] = record
            } catch {
                if lab.teardown.hasBegun { throw error }
                progress.note("cannot record the needs of \(image.recipe.name), so it has no floor: \(error)")
            }
        }
        var failures = 0
        for (index, key) in left.enumerated() {
            let position = "\(plan.samples.count - left.count + index + 1)/\(plan.samples.count)"
            let rest = Format.duration(seconds(left[index...]))
            let record = try await sample(
                key, images, needs[key.image], label: "[\(position), \(rest) left] \(key.image), \(key.network), ")
            try results.append(record)
            durations.add(record)
            if let error = record.error {
                failures += 1
                progress.note("\(key.image), \(key.network), \(key.mode) failed: \(error)")
            }
        }
        return failures
    }

    // MARK: - Before the blocks

    private func serve() async throws -> [String: ServedImage] {
        var images: [String: ServedImage] = [:]
        let forms = Set(modes.values.map(\.form)).union([.plain, Self.needsForm])
        for recipe in recipes {
            progress.step("\(recipe.name): preparing the image")
            let entry = try await cache.image(recipe, forms: forms, in: lab) { [progress] in
                progress.step("\(recipe.name): \($0)")
            }
            images[recipe.name] = try await ServedImage(entry, forms: forms, in: lab)
        }
        return images
    }

    /// Records the image's needs and the times of its starts from local content.
    private func record(_ image: ServedImage) async throws -> NeedsRecord {
        let needs = try await Needs.record(of: image, Self.needsForm, in: lab, progress: progress)
        progress.step("\(image.recipe.name): starting the local image")
        let local = LocalMode()
        let times = try await Node.with(
            "floor", in: lab, snapshotter: try local.snapshotter(programs), registry: image.registry,
            pauseArchive: image.pauseArchive
        ) { node in
            let setting = Setting(
                lab: lab, node: node, image: image, form: local.form, link: .unshaped, needs: nil, seconds: 600)
            try await local.prepare(setting)
            var times: [Double] = []
            for _ in 0..<Self.localStarts {
                try await blocking { try PageCache.drop() }
                times.append(try await setting.runPod())
            }
            return times
        }
        return NeedsRecord(
            image: image.recipe.name, edition: plan.edition.rawValue, totalBytes: image.size(Self.needsForm),
            local: times, needs: needs)
    }

    // MARK: - In the blocks

    private func sample(
        _ key: SampleRecord.Key, _ images: [String: ServedImage], _ needs: NeedsRecord?, label: String
    ) async throws -> SampleRecord {
        guard let image = images[key.image], let link = links[key.network], let mode = modes[key.mode] else {
            throw LabError(.usage, "\(key) is not in this grid")
        }
        var runner = SampleRunner(lab: lab, image: image, link: link, programs: programs, progress: progress)
        runner.needs = needs?.needs
        runner.waitsForComplete = plan.complete
        runner.label = label
        runner.limit = limit
        return try await runner.record(mode, as: key, floor: needs?.floor(over: link))
    }

    private func size(_ images: [String: ServedImage], _ key: SampleRecord.Key) -> UInt64 {
        modes[key.mode].flatMap { images[key.image]?.size($0.form) } ?? 0
    }

    private static func name(of path: String) -> String {
        let file = path.split(separator: "/").last ?? ""
        return file.hasSuffix(".jsonl") ? String(file.dropLast(6)) : String(file)
    }
}
