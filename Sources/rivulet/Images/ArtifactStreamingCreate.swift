import ArgumentParser
import Artifacts
import Base
import Glibc
import Logging
import NIOHTTP1
import NIOPosix
import Registry
import Streaming

/// `rivulet artifact-streaming create`: an image's streaming artifact.
struct ArtifactStreamingCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Makes the streaming artifact of an image, and pushes it beside the image.",
        discussion: """
            Each layer is read once, from the registry. The image itself is not changed: it keeps its digest and its \
            signatures, and nodes without Rivulet pull it as ever. Of an image for several platforms each gets its own \
            artifact. An image that has one is left alone.

            With --profile the artifact has a startup pack too: what a container of the image reads until it is ready, in \
            one piece, so that a node starts it with one request. An image that has an artifact gets a second one, which \
            nodes prefer; its layers are not read again.

            Examples:
              rivulet artifact-streaming create --image registry.example/team/app:1.2
              rivulet profile export --repository registry.example/team/app -o app.profile
              rivulet artifact-streaming create --image registry.example/team/app:1.2 --profile app.profile
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

    @Option(
        help: ArgumentHelp(
            "Put what this profile names into a startup pack.",
            discussion: "A file as rivulet profile export writes it; - is standard input.", valueName: "file"))
    var profile: String?

    @Flag(
        help: ArgumentHelp(
            "Have the conversion service make it, and do not wait.",
            discussion: "The service is the one at $RIVULET_SERVICE, or at \(ServiceOptions.defaultURL)."))
    var noWait = false

    @Option(
        help: ArgumentHelp("The token that the service wants, if it wants one, for --no-wait.", valueName: "file"))
    var tokenFile: String?

    @Option(
        help: ArgumentHelp(
            "Where what a startup pack is made of is put meanwhile.",
            discussion: "It takes as many bytes as the profile names.", valueName: "directory"))
    var scratch = "/var/tmp"

    @OptionGroup var registry: RegistryOptions
    @OptionGroup var output: OutputOptions

    private struct Result: Encodable {
        let image: String
        let manifest: String
        let artifact: String
        let layers: Int
        let bytes: UInt64
        let packBytes: UInt64
        let imageBytes: UInt64
        let wasThere: Bool
    }

    func validate() throws {
        guard noWait || tokenFile == nil else {
            throw ValidationError("--token-file is for the service: give --no-wait, or leave it out")
        }
        guard !noWait || (!force && signKey == nil && profile == nil) else {
            throw ValidationError("--no-wait has the service make it: --force, --sign-key and --profile are not for it")
        }
    }

    func run() async throws {
        try await reporting {
            if noWait {
                let service = ServiceOptions(tokenFile: tokenFile, output: output.format)
                let operation: ConversionOperation = try await service.ask(
                    .POST, ["operations"], body: ["image": image])
                return try service.show([operation])
            }
            let reference = try ImageReference(parsing: image)
            let signer = try signKey.map { file in
                try ArtifactSigner(
                    pem: String(decoding: try CommandFile.read(file, limit: 1 << 20), as: UTF8.self))
            }
            let profile = try profile.map { file throws -> Profile in
                try ProfileFile(bytes: try CommandFile.read(file, limit: ProfileFile.maximumSize)).profile
            }
            try await registry.withClient { client in
                let image = try await ImageManifests(reference, client)
                try image.checkAreImages()
                let cores = max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
                let workers = NIOThreadPool(numberOfThreads: cores)
                workers.start()
                let results: [Result]
                do {
                    results = try await publish(image, reference, client, workers, cores, signer, profile)
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
        _ cores: Int, _ signer: ArtifactSigner?, _ profile: Profile?
    ) async throws -> [Result] {
        let builder = ArtifactBuilder(
            registry: client, workers: workers, layersAtOnce: cores, signer: signer, scratch: scratch,
            logger: Logger(label: "rivulet"))
        var results: [Result] = []
        for manifest in image.manifests {
            let name = String(manifest.digest.hex.prefix(12))
            let (layers, pack) = (ProgressBar(name), ProgressBar("\(name) startup pack"))
            let published = try await builder.publish(image.repository, manifest, profile: profile, force: force) {
                ($0.step == .pack ? pack : layers).show($0.bytes, of: $0.totalBytes)
            }
            layers.end()
            results.append(
                Result(
                    image: "\(reference)", manifest: "\(manifest.digest)", artifact: "\(published.digest)",
                    layers: published.artifact.layers.count, bytes: published.size,
                    packBytes: published.artifact.pack?.size ?? 0,
                    imageBytes: manifest.layers.reduce(0) { $0 + $1.size }, wasThere: published.wasThere))
        }
        return results
    }

    private func show(_ results: [Result]) throws {
        guard output.format == .table else { return try Output.json(results) }
        Output.table(
            ["MANIFEST", "ARTIFACT", "LAYERS", "SIZE", "OF WHICH PACK", "OF IMAGE", ""],
            results.map {
                [
                    $0.manifest, $0.artifact, "\($0.layers)", Output.size($0.bytes), Output.size($0.packBytes),
                    Output.size($0.imageBytes),
                    $0.wasThere ? "was there" : "",
                ]
            })
    }
}
