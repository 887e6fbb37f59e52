public import ArgumentParser
import Base
public import Lab
import Linux

/// `PodReady images`: builds the images of the bench and describes them.
struct ImagesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "images", abstract: "Build the bench's images and push their forms, each once.")

    @Argument(help: "Names of images. Default: all.")
    var names: [String] = []

    @Option(help: "full or small.")
    var edition = ImageEdition.full

    @Option(parsing: .upToNextOption, help: "Forms: plain, estargz, zstd-chunked, estargz-optimised.")
    var forms = ImageForm.allCases

    @Option(help: "Where built images are kept.")
    var cache: String

    @Option(help: "Where the scratch directory is made; not on an overlay.")
    var scratch = "/var/tmp"

    @Flag(help: "Build the layers twice in a temporary place and compare them.")
    var twice = false

    @Flag(help: "Start each image as a pod through overlayfs, until it is ready.")
    var check = false

    func run() async throws {
        let recipes =
            try names.isEmpty ? ImageRecipe.all(edition) : names.map { try ImageRecipe.named($0, edition) }
        let progress = ProgressDisplay()
        progress.start()
        defer { progress.stop() }
        try await Lab.guarded(parent: scratch) { lab in
            for recipe in recipes {
                if twice {
                    try await compare(recipe, in: lab, progress)
                } else {
                    try await build(recipe, in: lab, progress)
                }
            }
        }
    }

    private func build(_ recipe: ImageRecipe, in lab: Lab, _ progress: ProgressDisplay) async throws {
        let began = MonotonicTime.now()
        let image = try await ImageCache(directory: cache).image(recipe, forms: Set(forms), in: lab) {
            progress.step($0)
        }
        var line = "\(recipe.name) (\(recipe.edition.rawValue)): "
        line += image.forms.map(\.rawValue).sorted().joined(separator: ", ")
        line += "; took \(Format.seconds(Double(MonotonicTime.now().since(began)) / 1e9)) s"
        if check { line += ", ready after \(Format.seconds(try await start(image, in: lab, progress))) s" }
        progress.stop()
        print(line)
    }

    /// Starts a pod of the image, and returns the seconds until it is ready.
    private func start(_ image: ImageCache.Entry, in lab: Lab, _ progress: ProgressDisplay) async throws -> Double {
        let recipe = image.recipe
        progress.step("\(recipe.name): starting")
        let registry = try await RegistryServer(in: lab, storage: image.registryStorage)
        let seconds = try await Node.with(
            "check-\(recipe.name)", in: lab, snapshotter: .overlayfs, registry: registry,
            pauseArchive: image.pauseArchive
        ) { node in
            let pod = try await Pod(
                .init(name: recipe.name, image: recipe.reference(.plain)), in: lab, client: node.client)
            let ready = try await pod.waitUntilReady(recipe.probe)
            try await pod.remove()
            return Double(ready.since(pod.marks.asked)) / 1e9
        }
        await blocking { registry.stop() }
        return seconds
    }

    private func compare(_ recipe: ImageRecipe, in lab: Lab, _ progress: ProgressDisplay) async throws {
        var digests: [[Digest]] = []
        for round in 1...2 {
            let work = "\(lab.directory)/round-\(round)"
            let builder = ImageBuilder(lab: lab) { progress.step("\($0), time \(round) of 2") }
            digests.append(
                try await builder.layers(of: recipe, work: work).map { path in try Files.digest(path).digest })
            try await Command.run(["rm", "-r", work], in: lab)
        }
        progress.stop()
        let different = zip(digests[0], digests[1]).enumerated().filter { $1.0 != $1.1 }.map { "\($0.offset)" }
        guard different.isEmpty else {
            throw LabError(
                .failed, "\(recipe.name): built twice, layers \(different.joined(separator: ", ")) are not the same")
        }
        print(
            "\(recipe.name) (\(recipe.edition.rawValue)): built twice, \(digests[0].count) layers with the same digests"
        )
    }
}

extension ImageEdition: ExpressibleByArgument {}
extension ImageForm: ExpressibleByArgument {}
