import ArgumentParser
import Harness
import Lab

/// `PodReady demo`: runs one image with an ordinary pull and with Rivulet, for comparison.
struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo", abstract: "Run one image as a pod from cold in each mode.")

    @Option(help: "Comma-separated modes: \(Modes.all.map(\.name).joined(separator: ", ")).")
    var modes = "overlayfs,rivulet"

    @Option(help: "The image: \(ImageRecipe.all(.full).map(\.name).joined(separator: ", ")).")
    var image = "numpy"

    @Option(help: "The link to the registry: \(LinkShape.named.keys.sorted().joined(separator: ", ")).")
    var link = "none"

    @Option(help: "Where built images are kept.")
    var cache: String

    @Option(help: "Where the scratch directory is made; not on an overlay.")
    var scratch = "/var/tmp"

    @Option(help: "The stargz-snapshotter daemon, required for the mode stargz.")
    var stargz: String?

    @Option(help: "The output file for the figures, as JSON. Default: none.")
    var output: String?

    @Flag(help: "List every request until ready.")
    var trace = false

    @Flag(help: "Keep the logs of all parts beside the figures.")
    var keepLogs = false

    func run() async throws {
        let demo = try Demo(
            recipe: try ImageRecipe.named(image, .full), modes: try Modes.list(modes), link: try Link(link),
            cache: ImageCache(directory: cache), scratch: scratch,
            stargz: stargz, output: output, trace: trace, keepLogs: keepLogs)
        try await demo.run()
    }
}
