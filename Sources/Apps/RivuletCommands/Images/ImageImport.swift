import ArgumentParser
import Conversion
import Registry

/// `rivulet image import`: copies an image into another repository.
struct ImageImport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Copy an image into another registry or repository.",
        discussion: """
            Copies every platform byte for byte, so digests and signatures remain valid. Blobs that the target has are not sent \
            again; within a registry none is. Referrers of the image (signatures, streaming artifacts) are not copied.

            Example:
              rivulet image import --source docker.io/library/python:3.12 --target registry.example/base/python:3.12

            With --output json: source, target, digest, manifests, bytes.
            """)

    @Option(help: ArgumentHelp("The image, by tag or digest.", valueName: "reference"))
    var source: String

    @Option(help: ArgumentHelp("The target, with a tag.", valueName: "reference"))
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
                throw CommandFailure(.usage, "--target \(target): the target needs a tag, not a digest")
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
