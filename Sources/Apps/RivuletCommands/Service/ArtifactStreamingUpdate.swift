import ArgumentParser
import Conversion
import NIOHTTP1

/// `rivulet artifact-streaming update`: enables or disables automatic conversion for a repository.
struct ArtifactStreamingUpdate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "update",
        abstract: "Enable or disable automatic conversion of a repository.",
        discussion: """
            The conversion service (rivulet serve-conversion) converts images that are pushed from now on. Use rivulet \
            artifact-streaming create for existing images. Disabling it leaves images and artifacts unchanged.

            Example:
              rivulet artifact-streaming update --repository team/app --enable-streaming true
            """)

    @Option(help: ArgumentHelp("The repository, with or without the registry's host.", valueName: "name"))
    var repository: String

    @Option(help: "Convert pushed images: true or false.")
    var enableStreaming: Bool

    @OptionGroup var service: ServiceOptions

    func run() async throws {
        try await reporting {
            let now: RepositoryStreaming = try await service.client.ask(
                .PUT, ["repositories", repository], body: ["streaming": enableStreaming])
            try ConversionOutput.show([now], as: service.output)
        }
    }
}
