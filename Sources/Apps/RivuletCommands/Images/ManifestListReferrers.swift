import ArgumentParser
import Artifacts
import Base
import Conversion
import Registry

/// `rivulet manifest list-referrers`: what refers to an image.
struct ManifestListReferrers: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list-referrers",
        abstract: "Lists what refers to an image: streaming artifacts, signatures, SBOMs.",
        discussion: """
            By the registry's referrers API, or by the fallback tag where it has none. Of an image for several platforms \
            what refers to each of them.
            """)

    @Argument(help: ArgumentHelp("The image, by tag or digest.", valueName: "reference"))
    var image: String

    @Option(help: ArgumentHelp("Only artifacts of this type.", valueName: "type"))
    var artifactType: String?

    @OptionGroup var registry: RegistryOptions
    @OptionGroup var output: OutputOptions

    private struct Row: Encodable {
        let subject: String
        let artifactType: String
        /// What is known of the type.
        let kind: String
        let digest: String
        let size: UInt64
        let annotations: [String: String]
    }

    func run() async throws {
        try await reporting {
            let reference = try ImageReference(parsing: image)
            try await registry.withClient { client in
                let image = try await ImageManifests(reference, client)
                var rows: [Row] = []
                for manifest in image.manifests {
                    rows += try await client.referrers(
                        image.repository, of: manifest.digest, artifactType: artifactType
                    ).map {
                        Row(
                            subject: "\(manifest.digest)", artifactType: $0.artifactType ?? "",
                            kind: ArtifactKind($0)?.title ?? "",
                            digest: "\($0.digest)",
                            size: $0.size, annotations: $0.annotations)
                    }
                }
                guard output.format == .table else { return try Output.json(rows) }
                Output.table(
                    ["SUBJECT", "TYPE", "KIND", "DIGEST", "SIZE"],
                    rows.map { [$0.subject, $0.artifactType.printable, $0.kind, $0.digest, Output.size($0.size)] })
            }
        }
    }
}
