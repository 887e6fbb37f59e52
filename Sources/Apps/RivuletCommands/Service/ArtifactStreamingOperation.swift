import ArgumentParser

/// `rivulet artifact-streaming operation`: conversions of the service.
struct ArtifactStreamingOperation: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "operation", abstract: "Show and cancel conversions of the conversion service.",
        subcommands: [ArtifactStreamingOperationShow.self, ArtifactStreamingOperationCancel.self])
}
