import ArgumentParser
import Conversion
import NIOHTTP1

/// `rivulet artifact-streaming operation show`: shows the state of conversions.
struct ArtifactStreamingOperationShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show the state and progress of conversions.",
        discussion: """
            States: NotStarted, Running, Succeeded, Failed, Canceled. With --repository alone it lists all of the repository, the \
            newest first. With --output json an array of: id, repository, image, state, progress, artifacts, error, created, \
            changed.

            Example:
              rivulet artifact-streaming operation show --image team/app:1.2
            """)

    @OptionGroup var operation: OperationOptions

    func run() async throws {
        try await reporting {
            if operation.id == nil, operation.image == nil {
                let query = operation.repository.map { ["repository": $0] } ?? [:]
                let found: [ConversionOperation] = try await operation.service.client.ask(
                    .GET, ["operations"], query: query)
                try ConversionOutput.show(found, as: operation.service.output)
            } else {
                try ConversionOutput.show([try await operation.find()], as: operation.service.output)
            }
        }
    }
}
