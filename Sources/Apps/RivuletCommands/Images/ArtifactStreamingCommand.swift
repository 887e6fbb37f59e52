import ArgumentParser

/// `rivulet artifact-streaming`: streaming artifacts, image by image.
struct ArtifactStreamingCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "artifact-streaming", abstract: "Streaming artifacts: what makes an ordinary image streamable.",
        subcommands: [
            ArtifactStreamingCreate.self, ArtifactStreamingShow.self, ArtifactStreamingUpdate.self,
            ArtifactStreamingOperation.self,
        ])
}
