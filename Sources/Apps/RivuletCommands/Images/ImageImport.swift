import ArgumentParser
import Conversion
import Registry

/// `rivulet image import`: copies an image from one repository into another.
struct ImageImport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Copies an image from one registry or repository into another.",
        discussion: """
            Every platform of it, byte for byte: its digest and its signatures stay good. Blobs that the target has are not \
            sent again; within a registry none is. What refers to the image (signatures, streaming artifacts) is not \
            copied.

            Example:
              rivulet image import --source docker.io/library/python:3.12 --target registry.example/base/python:3.12

            With --output json: source, target, digest, manifests, bytes.
            """)

    @Option(help: ArgumentHelp("The image, by tag or digest.", valueName: "reference"))
    var source: String

    @Option(help: ArgumentHelp("Where to, with a tag.", valueName: "reference"))
    var target: String

    @OptionGroup var registry: RegistryOptions
    @OptionGroup var output: OutputOptions

    private struct Result: Encodable {
        let source: String
        let target: String
        let digest: String
        let manifests: Int
        let bytes: UInt64
    }

    func run() async throws {
        try await reporting {
            let (from, to) = (try ImageReference(parsing: source), try ImageReference(parsing: target))
            guard to.digest == nil else {
                throw CommandFailure(.usage, "\(target): what it is copied to is named by a tag, not by a digest")
            }
            try await registry.withClient { client in
                let bar = ProgressBar("copying")
                let copied = try await ImageCopy(client).copy(from, to: to) { bar.show($0.bytes, of: $0.totalBytes) }
                bar.end()
                let result = Result(
                    source: "\(from)", target: "\(to)", digest: "\(copied.digest)", manifests: copied.manifests,
                    bytes: copied.bytes)
                guard output.format == .table else { return try Output.json(result) }
                Output.table(
                    ["TARGET", "DIGEST", "MANIFESTS", "SIZE"],
                    [[result.target, result.digest, "\(result.manifests)", Output.size(result.bytes)]])
            }
        }
    }
}
