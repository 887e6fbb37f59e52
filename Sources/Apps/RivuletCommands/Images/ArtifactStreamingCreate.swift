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

/// `rivulet artifact-streaming create`: an image's streaming artifact.
struct ArtifactStreamingCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Makes the streaming artifact of an image, and pushes it beside the image.",
        discussion: """
            Each layer is read once, from the registry. The image itself is not changed: it keeps its digest and its \
            signatures, and nodes without Rivulet pull it as ever. Of an image for several platforms each gets its own \
            artifact. An image that has one is left alone.

            The artifact has a startup pack, too: what a container of the image reads until it is ready, in one piece, so \
            that a node starts it with one request. What that is is predicted from what the image runs and from the files \
            that it names; with --profile it is what a start was seen to read, which is better. An image that has an \
            artifact then gets a second one, which nodes prefer; its layers are not read again.

            With --format the image itself is written anew, under a tag of its own, in a format that nodes with other \
            snapshotters stream: estargz, or the zstd:chunked of stargz-snapshotter. That is another image, as large as the \
            first and with another digest. --profile puts the files first that a start needs.

            Examples:
              rivulet artifact-streaming create --image registry.example/team/app:1.2
              rivulet artifact-streaming create --image registry.example/team/app:1.2 --format estargz
              rivulet profile export --repository registry.example/team/app -o app.profile
              rivulet artifact-streaming create --image registry.example/team/app:1.2 --profile app.profile
            """)

    @Option(help: ArgumentHelp("The image, by tag or digest.", valueName: "reference"))
    var image: String

    @Option(
        help: ArgumentHelp(
            "Write the image anew in a format of others: \(ReencodedFormat.allCases.map(\.rawValue).joined(separator: " or ")).",
            valueName: "format"))
    var format: ReencodedFormat?

    @Option(
        help: ArgumentHelp(
            "Where to, for --format.",
            discussion: "By default the image's own tag with "
                + ReencodedFormat.allCases.map(\.tagSuffix).joined(separator: " or ") + " behind it.",
            valueName: "reference"))
    var target: String?

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

    @Flag(help: "Without a profile, make no startup pack.")
    var noPack = false

    @Flag(
        help: ArgumentHelp(
            "Have the conversion service make it, and do not wait.",
            discussion: "The service is the one at $RIVULET_SERVICE, or at \(ServiceClient.defaultURL)."))
    var noWait = false

    @Option(
        help: ArgumentHelp("The token that the service wants, if it wants one, for --no-wait.", valueName: "file"))
    var tokenFile: String?

    @Option(
        help: ArgumentHelp(
            "Where what a startup pack, or with --format a layer, is made of is put meanwhile.",
            discussion: "A pack takes as many bytes as a start reads, a layer those of its archive.",
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
        guard format != nil || target == nil else { throw ValidationError("--target is for --format") }
        guard format == nil || (!noWait && !force && signKey == nil) else {
            throw ValidationError("--no-wait, --force and --sign-key are for streaming artifacts, not for --format")
        }
        guard noWait || tokenFile == nil else {
            throw ValidationError("--token-file is for the service: give --no-wait, or leave it out")
        }
        guard !noWait || (!force && signKey == nil && profile == nil && !noPack) else {
            throw ValidationError(
                "--no-wait has the service make it: --force, --sign-key, --profile and --no-pack are not for it")
        }
        guard !noPack || (profile == nil && format == nil) else {
            throw ValidationError("--no-pack is not for --profile or --format")
        }
    }

    func run() async throws {
        try await reporting {
            if noWait {
                let service = ServiceClient(url: nil, tokenFile: tokenFile)
                let operation: ConversionOperation = try await service.ask(
                    .POST, ["operations"], body: ["image": image])
                return try Output.show([operation], as: output.format)
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
                job.image.repository, manifest, profile: job.profile, predicts: !noPack, force: force
            ) {
                ($0.step == .pack ? pack : layers).show($0.bytes, of: $0.totalBytes)
            }
            layers.end()
            results.append(
                Result(
                    image: "\(job.reference)", manifest: "\(manifest.digest)", artifact: "\(published.digest)",
                    layers: published.artifact.layers.count, bytes: published.size,
                    packBytes: published.artifact.pack?.size ?? 0,
                    imageBytes: manifest.layers.reduce(0) { $0 + $1.size }, wasThere: published.wasThere))
        }
        try show(results)
    }

    // MARK: - In a format of others

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
                imageBytes: manifest.layers.reduce(0) { $0 + $1.size })
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
                throw CommandFailure(.usage, "\(target): what is written is named by a tag, not by a digest")
            }
            return reference
        }
        guard let tag = image.tag else {
            throw CommandFailure(.usage, "\(image) has no tag: say with --target what the new image is called")
        }
        return ImageReference(repository: image.repository, tag: tag + format.tagSuffix)
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

extension ReencodedFormat: ExpressibleByArgument {}
