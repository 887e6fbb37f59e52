import ArgumentParser

/// `rivulet artifact-streaming operation`: conversions.
struct ArtifactStreamingOperation: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "operation", abstract: "Conversions that the conversion service makes or has made.",
        subcommands: [ArtifactStreamingOperationShow.self, ArtifactStreamingOperationCancel.self])
}
