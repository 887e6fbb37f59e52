import ArgumentParser
import Conversion
import NIOHTTP1

/// `rivulet artifact-streaming show`: whether what is pushed to a repository is converted.
struct ArtifactStreamingShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Says whether images that are pushed to a repository are converted.",
        discussion: """
            The conversion service (rivulet serve-conversion) is asked. Without --repository it lists the repositories that \
            are switched on. With --output json an array of: repository, streaming.
            """)

    @Option(help: ArgumentHelp("With or without the registry's host.", valueName: "name"))
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
            try Output.show(found, as: service.output)
        }
    }
}
