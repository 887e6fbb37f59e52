import ArgumentParser
import Conversion
import NIOHTTP1

/// `rivulet artifact-streaming operation cancel`: cancels a conversion.
struct ArtifactStreamingOperationCancel: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel", abstract: "Cancel a conversion.",
        discussion: """
            Example:
              rivulet artifact-streaming operation cancel --image team/app:1.2

            Exit codes: 1 the operation has ended, 66 operation not found; the others are in rivulet --help.
            """)

    @OptionGroup var operation: OperationOptions

    func validate() throws {
        guard operation.id != nil || operation.image != nil else {
            throw ValidationError("give --id or --image: rivulet artifact-streaming operation show lists them")
        }
    }

    func run() async throws {
        try await reporting {
            let meant = try await operation.find()
            let now: ConversionOperation = try await operation.service.client.ask(
                .POST, ["operations", meant.id + ":cancel"])
            try ConversionOutput.show([now], as: operation.service.output)
        }
    }
}
