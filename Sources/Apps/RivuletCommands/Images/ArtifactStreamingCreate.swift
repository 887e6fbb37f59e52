public import ArgumentParser
import Artifacts
import Base
public import Conversion
import Glibc
import Logging
import NIOHTTP1
import NIOPosix
import Registry
import Streaming

/// `rivulet artifact-streaming create`: creates an image's streaming artifact, which makes the image streamable. With
/// `--format`, converts the image instead.
struct ArtifactStreamingCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Create and push the streaming artifact of an image.",
        discussion: """
            Reads each layer once from the registry. The image does not change: it keeps its digest and signatures, and nodes \
            without Rivulet pull it unchanged. Each platform of the image gets its own artifact. An image that has an artifact \
            is skipped.

            The artifact includes a startup pack: the data that a container reads until it is ready, in one piece, so that a \
            node needs one request to start it. The default pack is predicted from the image's command and files. --profile \
            uses the recorded reads of a start, which is more accurate. An image with an artifact then gets a second one, which \
            nodes prefer; its layers are not read again.

            With --format the command converts the image itself to a format that other snapshotters stream: eStargz, or the \
            zstd:chunked of stargz-snapshotter. The result is a separate image with its own tag and digest, as large as the \
            original. --profile moves the files of a start to the front.

            Examples:
              rivulet artifact-streaming create --image registry.example/team/app:1.2
              rivulet artifact-streaming create --image registry.example/team/app:1.2 --format estargz
              rivulet profile export --repository registry.example/team/app -o app.profile
              rivulet artifact-streaming create --image registry.example/team/app:1.2 --profile app.profile
              rivulet artifact-streaming create --image registry.example/team/app:1.2 --no-wait
            """)

    @Option(help: ArgumentHelp("The image, by tag or digest.", valueName: "reference"))
    var image: String

    @Option(
        help: ArgumentHelp(
            "Convert the image itself to this format.",
            discussion: "Default: do not convert. Formats: "
                + ReencodedFormat.allCases.map(\.rawValue).joined(separator: ", ") + ".",
            valueName: "format"))
    var format: ReencodedFormat?

    @Option(
        help: ArgumentHelp(
            "The converted image, for --format.",
            discussion: "Default: the image's own tag with the suffix "
                + ReencodedFormat.allCases.map(\.tagSuffix).joined(separator: " or ") + ".",
            valueName: "reference"))
    var target: String?

    @Flag(help: "Replace an existing artifact.")
    var force = false

    @Option(
        help: ArgumentHelp(
            "Sign the artifact with this Ed25519 key.",
            discussion: "A PEM file from openssl genpkey -algorithm ed25519. Default: no signature.",
            valueName: "file"))
    var signKey: String?

    @Option(
        help: ArgumentHelp(
            "Build the startup pack from this profile.",
            discussion: "A file from rivulet profile export; - is standard input. Default: predict the pack.",
            valueName: "file"))
    var profile: String?

    @Flag(help: "Do not create a predicted startup pack.")
    var noPack = false

    @Flag(
        help: ArgumentHelp(
            "Let the conversion service create it, and return at once.",
            discussion: "--service and --token-file say where it is."))
    var noWait = false

    @Option(
        help: ArgumentHelp(
            "The conversion service, for --no-wait.",
            discussion: "Default: $RIVULET_SERVICE, or \(ServiceClient.defaultURL).", valueName: "url"))
    var service: String?

    @Option(
        help: ArgumentHelp(
            "A file with the service's bearer token, for --no-wait. Default: no token.", valueName: "file"))
    var tokenFile: String?

    @Option(
        help: ArgumentHelp(
            "The directory for temporary files.",
            discussion: "A startup pack needs the bytes that a start reads; --format needs those of a layer's archive.",
            valueName: "directory"))
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
        guard format != nil || target == nil else { throw ValidationError("--target requires --format") }
        guard format == nil || (!noWait && !force && signKey == nil) else {
            throw ValidationError("--format cannot be combined with --no-wait, --force or --sign-key")
        }
        guard noWait || (service == nil && tokenFile == nil) else {
            throw ValidationError("--service and --token-file require --no-wait")
        }
        guard !noWait || (!force && signKey == nil && profile == nil && !noPack) else {
            throw ValidationError(
                "--no-wait cannot be combined with --force, --sign-key, --profile or --no-pack")
        }
        guard !noPack || (profile == nil && format == nil) else {
            throw ValidationError("--no-pack cannot be combined with --profile or --format")
        }
    }

    func run() async throws {
        try await reporting {
            if noWait {
                let client = ServiceClient(url: service, tokenFile: tokenFile)
                let operation: ConversionOperation = try await client.ask(
                    .POST, ["operations"], body: ["image": image])
                return try ConversionOutput.show([operation], as: output.format)
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
                let job = Job(
                    image: image, reference: reference, client: client, workers: workers, cores: cores,
                    profile: profile)
                do {
                    if let format { try await reencode(job, format) } else { try await publish(job, signer) }
                    try await workers.shutdownGracefully()
                } catch {
                    try? await workers.shutdownGracefully()
                    throw error
                }
            }
        }
    }

    private struct Job {
        let image: ImageManifests
        let reference: ImageReference
        let client: RegistryClient
        let workers: NIOThreadPool
        let cores: Int
        let profile: Profile?
    }

    private func publish(_ job: Job, _ signer: ArtifactSigner?) async throws {
        let builder = ArtifactBuilder(
            registry: job.client, workers: job.workers, layersAtOnce: job.cores, signer: signer, scratch: scratch,
            logger: Logger(label: "rivulet"))
        var results: [Result] = []
        for manifest in job.image.manifests {
            let name = String(manifest.digest.hex.prefix(12))
            let (layers, pack) = (ProgressBar(name), ProgressBar("\(name) startup pack"))
            let published = try await builder.publish(
                in: job.image.repository, manifest: manifest, profile: job.profile, predicts: !noPack, force: force
            ) {
                ($0.step == .pack ? pack : layers).show($0.bytes, of: $0.totalBytes)
            }
            layers.end()
            results.append(
                Result(
                    image: "\(job.reference)", manifest: "\(manifest.digest)", artifact: "\(published.digest)",
                    layers: published.artifact.layers.count, bytes: published.size,
                    packBytes: published.artifact.pack?.size ?? 0,
                    imageBytes: manifest.layers.map(\.size).saturatingSum(), wasThere: published.wasThere))
        }
        try show(results)
    }

    // MARK: - Other formats

    private struct Reencoded: Encodable {
        let image: String
        let manifest: String
        let target: String
        let digest: String
        let layers: Int
        let bytes: UInt64
        let imageBytes: UInt64
    }

    private func reencode(_ job: Job, _ format: ReencodedFormat) async throws {
        let target = try target(of: job.reference, format)
        let reencoder = ImageReencoder(
            registry: job.client, workers: job.workers, cores: job.cores, format: format, scratch: scratch)
        let bar = ProgressBar(format.rawValue)
        let made = try await reencoder.reencode(job.image, to: target, profile: job.profile) {
            bar.show($0.bytes, of: $0.totalBytes)
        }
        bar.end()
        let results = zip(job.image.manifests, made).map { manifest, made in
            Reencoded(
                image: "\(job.reference)", manifest: "\(manifest.digest)", target: "\(target)",
                digest: "\(made.digest)", layers: made.layers, bytes: made.size,
                imageBytes: manifest.layers.map(\.size).saturatingSum())
        }
        guard output.format == .table else { return try Output.json(results) }
        Output.table(
            ["MANIFEST", "TARGET", "DIGEST", "LAYERS", "SIZE", "OF IMAGE"],
            results.map {
                [$0.manifest, $0.target, $0.digest, "\($0.layers)", Output.size($0.bytes), Output.size($0.imageBytes)]
            })
    }

    private func target(of image: ImageReference, _ format: ReencodedFormat) throws -> ImageReference {
        if let target {
            let reference = try ImageReference(parsing: target)
            guard reference.digest == nil else {
                throw CommandFailure(.usage, "--target \(target): the target needs a tag, not a digest")
            }
            return reference
        }
        guard let tag = image.tag else {
            throw CommandFailure(.usage, "\(image) has no tag: set --target to the name of the new image")
        }
        return ImageReference(repository: image.repository, tag: tag + format.tagSuffix)
    }

    private func show(_ results: [Result]) throws {
        guard output.format == .table else { return try Output.json(results) }
        Output.table(
            ["MANIFEST", "ARTIFACT", "LAYERS", "SIZE", "PACK", "OF IMAGE", ""],
            results.map {
                [
                    $0.manifest, $0.artifact, "\($0.layers)", Output.size($0.bytes), Output.size($0.packBytes),
                    Output.size($0.imageBytes),
                    $0.wasThere ? "existed" : "",
                ]
            })
    }
}

extension ReencodedFormat: ExpressibleByArgument {}
