import ArgumentParser
import Lab

@main
enum Main {
    static func main() {
        SignalGuard.run { await PodReady.main() }
    }
}

/// Measures the time from the request for a pod until its application is ready.
struct PodReady: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "PodReady",
        abstract: "Measure the time until a pod's application is ready.",
        subcommands: [
            DemoCommand.self, GridCommand.self, SummaryCommand.self, RelayCeilingCommand.self, ImagesCommand.self,
            MicroCommand.self, TogetherCommand.self, ArtifactsCommand.self,
        ])
}
