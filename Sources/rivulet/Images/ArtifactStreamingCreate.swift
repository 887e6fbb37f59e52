import ArgumentParser
import Artifacts
import Base
import Glibc
import Logging
import NIOPosix
import Registry

/// `rivulet artifact-streaming create`: an image's streaming artifact.
struct ArtifactStreamingCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Makes the streaming artifact of an image, and pushes it beside the image.",
        discussion: """
            Each layer is read once, from the registry. The image itself is not changed: it keeps its digest and its \
            signatures, and nodes without Rivulet pull it as ever. Of an image for several platforms each gets its own \
            artifact. An image that has one is left alone.

            Example:
              rivulet artifact-streaming create --image registry.example/team/app:1.2
            """)

    @Option(help: ArgumentHelp("The image, by tag or digest.", valueName: "reference"))
    var image: String

    @Flag(help: "Make it anew although the image has one.")
    var force = false

    @Option(
        help: ArgumentHelp(
            "Sign it with this Ed25519 key.", discussion: "A file as openssl genpkey -algorithm ed25519 makes it.",
            valueName: "file"))
    var signKey: String?

    @OptionGroup var registry: RegistryOptions

    private struct Result: Encodable {
        let image: String
        let manifest: String
        let artifact: String
        let layers: Int
        let bytes: UInt64
        let imageBytes: UInt64
        let wasThere: Bool
    }

    func run() async throws {
        try await reporting {
            let reference = try ImageReference(parsing: image)
            let signer = try signKey.map { file in
                try ArtifactSigner(
                    pem: String(decoding: try CommandFile.read(file, limit: 1 << 20), as: UTF8.self))
            }
            try await registry.withClient { client in
                let image = try await ImageManifests(reference, client)
                let cores = max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
                let workers = NIOThreadPool(numberOfThreads: cores)
                workers.start()
                let results: [Result]
                do {
                    results = try await publish(image, reference, client, workers, cores, signer)
                    try await workers.shutdownGracefully()
                } catch {
                    try? await workers.shutdownGracefully()
                    throw error
                }
                try show(results)
            }
        }
    }

    private func publish(
        _ image: ImageManifests, _ reference: ImageReference, _ client: RegistryClient, _ workers: NIOThreadPool,
        _ cores: Int, _ signer: ArtifactSigner?
    ) async throws -> [Result] {
        let builder = ArtifactBuilder(
            registry: client, workers: workers, layersAtOnce: cores, signer: signer,
            logger: Logger(label: "rivulet"))
        var results: [Result] = []
        for manifest in image.manifests {
            let bar = ProgressBar(String(manifest.digest.hex.prefix(12)))
            let published = try await builder.publish(image.repository, manifest, force: force) {
                bar.show($0.bytes, of: $0.totalBytes)
            }
            bar.end()
            results.append(
                Result(
                    image: "\(reference)", manifest: "\(manifest.digest)", artifact: "\(published.digest)",
                    layers: published.artifact.layers.count, bytes: published.size,
                    imageBytes: manifest.layers.reduce(0) { $0 + $1.size }, wasThere: published.wasThere))
        }
        return results
    }

    private func show(_ results: [Result]) throws {
        guard registry.output == .table else { return try Output.json(results) }
        Output.table(
            ["MANIFEST", "ARTIFACT", "LAYERS", "SIZE", "OF IMAGE", ""],
            results.map {
                [
                    $0.manifest, $0.artifact, "\($0.layers)", Output.size($0.bytes), Output.size($0.imageBytes),
                    $0.wasThere ? "was there" : "",
                ]
            })
    }
}
