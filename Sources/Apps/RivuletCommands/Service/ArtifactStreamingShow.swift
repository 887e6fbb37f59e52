import ArgumentParser
import Conversion
import NIOHTTP1

/// `rivulet artifact-streaming show`: shows the repositories with automatic conversion.
struct ArtifactStreamingShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show which repositories have automatic conversion.",
        discussion: """
            Asks the conversion service (rivulet serve-conversion). Without --repository it lists the repositories with automatic \
            conversion. With --output json an array of: repository, streaming.

            Example:
              rivulet artifact-streaming show --repository team/app
            """)

    @Option(help: ArgumentHelp("The repository, with or without the registry's host. Default: all.", valueName: "name"))
    var repository: String?

    @OptionGroup var service: ServiceOptions

    func run() async throws {
        try await reporting {
            let found: [RepositoryStreaming]
            if let repository {
                found = [try await service.client.ask(.GET, ["repositories", repository])]
            } else {
                found = try await service.client.ask(.GET, ["repositories"])
            }
            try ConversionOutput.show(found, as: service.output)
        }
    }
}
