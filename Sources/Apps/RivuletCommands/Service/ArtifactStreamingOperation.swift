import ArgumentParser

/// `rivulet artifact-streaming operation`: shows and cancels the conversion service's operations.
struct ArtifactStreamingOperation: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "operation", abstract: "Show and cancel conversions of the conversion service.",
        subcommands: [ArtifactStreamingOperationShow.self, ArtifactStreamingOperationCancel.self])
}
