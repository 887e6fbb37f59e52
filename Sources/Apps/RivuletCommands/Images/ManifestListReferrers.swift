import ArgumentParser
import Artifacts
import Base
import Conversion
import Registry

/// `rivulet manifest list-referrers`: lists the referrers of an image.
struct ManifestListReferrers: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list-referrers",
        abstract: "List an image's referrers: artifacts, signatures, SBOMs.",
        discussion: """
            Uses the registry's referrers API, or the fallback tag if it has none. For an image with several platforms it lists \
            the referrers of each.

            Example:
              rivulet manifest list-referrers registry.example/team/app:1.2
            """)

    @Argument(help: ArgumentHelp("The image, by tag or digest.", valueName: "reference"))
    var image: String

    @Option(help: ArgumentHelp("List only artifacts of this type. Default: all.", valueName: "type"))
    var artifactType: String?

    @OptionGroup var registry: RegistryOptions
    @OptionGroup var output: OutputOptions

    private struct Row: Encodable {
        let subject: String
        let artifactType: String
        /// The readable name of a known artifact type; empty for other types.
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
