import ArgumentParser
import Conversion
import NIOHTTP1

/// `rivulet artifact-streaming update`: has what is pushed to a repository converted, or no longer.
struct ArtifactStreamingUpdate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "update",
        abstract: "Has images converted that are pushed to a repository, or no longer.",
        discussion: """
            The conversion service (rivulet serve-conversion) does it, for images that are pushed from now on: those that are \
            there are not converted (rivulet artifact-streaming create does that). Switched off, images and artifacts stay \
            as they are.

            Example:
              rivulet artifact-streaming update --repository team/app --enable-streaming true
            """)

    @Option(help: ArgumentHelp("With or without the registry's host.", valueName: "name"))
    var repository: String

    @Option(help: "true or false.")
    var enableStreaming: Bool

    @OptionGroup var service: ServiceOptions

    func run() async throws {
        try await reporting {
            let now: RepositoryStreaming = try await service.client.ask(
                .PUT, ["repositories", repository], body: ["streaming": enableStreaming])
            try Output.show([now], as: service.output)
        }
    }
}
