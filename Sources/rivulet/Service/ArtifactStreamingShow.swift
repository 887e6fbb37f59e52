import ArgumentParser
import Artifacts
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
                found = [try await service.ask(.GET, ["repositories", repository])]
            } else {
                found = try await service.ask(.GET, ["repositories"])
            }
            try show(found, service.output)
        }
    }
}

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
            let now: RepositoryStreaming = try await service.ask(
                .PUT, ["repositories", repository], body: ["streaming": enableStreaming])
            try show([now], service.output)
        }
    }
}

private func show(_ repositories: [RepositoryStreaming], _ output: OutputFormat) throws {
    guard output == .table else { return try Output.json(repositories) }
    Output.table(
        ["REPOSITORY", "STREAMING"], repositories.map { [$0.repository.printable, $0.streaming ? "true" : "false"] })
}
