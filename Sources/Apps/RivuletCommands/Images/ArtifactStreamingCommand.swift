import ArgumentParser

/// `rivulet artifact-streaming`: creates and manages streaming artifacts of images.
struct ArtifactStreamingCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "artifact-streaming", abstract: "Create and manage streaming artifacts of images.",
        subcommands: [
            ArtifactStreamingCreate.self, ArtifactStreamingShow.self, ArtifactStreamingUpdate.self,
            ArtifactStreamingOperation.self,
        ])
}
