import ArgumentParser
import Base
import FoundationEssentials
import Lab

/// `PodReady artifacts`: measures the creation and size of streaming artifacts.
struct ArtifactsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "artifacts",
        abstract: "Measure the creation and size of streaming artifacts.",
        discussion: """
            The registry is on this machine, and its link is unlimited: the time is that of reading, decoding and \
            indexing all layers once, on all cores. The table is Markdown.
            """)

    @Argument(help: "Names of images. Default: all.")
    var names: [String] = []

    @Option(help: "full or small.")
    var edition = ImageEdition.full

    @Option(help: "Where built images are kept.")
    var cache: String

    @Option(help: "Where the scratch directory is made; not on an overlay.")
    var scratch = "/var/tmp"

    private struct Made: Decodable {
        let layers: Int
        let bytes: UInt64
        let packBytes: UInt64
        let imageBytes: UInt64
    }

    func run() async throws {
        let recipes =
            try names.isEmpty ? ImageRecipe.all(edition) : names.map { try ImageRecipe.named($0, edition) }
        let progress = ProgressDisplay()
        progress.start()
        defer { progress.stop() }
        print("| image | image, MB | layers | artifact, MB | of the image | seconds | MB of image a second |")
        print("|---|---:|---:|---:|---:|---:|---:|")
        try await Lab.guarded(parent: scratch) { lab in
            for recipe in recipes {
                let image = try await ImageCache(directory: cache).image(recipe, forms: [.plain], in: lab) {
                    progress.step($0)
                }
                progress.step("\(recipe.name): creating its streaming artifact")
                let line = try await measure(image, in: lab)
                progress.stop()
                print(line)
            }
        }
    }

    private func measure(_ image: ImageCache.Entry, in lab: Lab) async throws -> String {
        let registry = try await RegistryServer(in: lab, storage: image.registryStorage)
        let reference = "127.0.0.1:\(registry.port)\(image.recipe.reference(.plain).drop { $0 != "/" })"
        let began = MonotonicTime.now()
        let output = try await Command.run(
            [
                try Repository.product("rivulet"), "artifact-streaming", "create", "--force", "--no-pack", "--output",
                "json",
                "--image", reference,
            ], in: lab, timeout: 1200)
        let seconds = Double(MonotonicTime.now().since(began)) / 1e9
        await blocking { registry.stop() }
        guard let made = try JSONDecoder().decode([Made].self, from: Data(output.utf8)).first else {
            throw LabError(.failed, "rivulet printed no result for \(reference)")
        }
        let (bytes, whole) = (Double(made.bytes - made.packBytes), Double(made.imageBytes))
        return "| \(image.recipe.name) | \(Self.number(whole / 1e6)) | \(made.layers) | \(Self.number(bytes / 1e6)) | "
            + "\(Self.number(bytes / whole * 100)) % | \(Self.number(seconds)) | \(Self.number(whole / 1e6 / seconds)) |"
    }

    private static func number(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }
}
