import ArgumentParser
import Lab

@main
enum Main {
    // On the main thread: of all threads that there are so early, this is the only one that would take signals.
    @MainActor static func main() async {
        SignalGuard.block()
        await PodReady.main()
    }
}

/// How long from asking for a pod until its application is ready.
struct PodReady: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "PodReady",
        abstract: "Measures how long a pod takes from being asked for until its application is ready.",
        subcommands: [
            DemoCommand.self, GridCommand.self, SummaryCommand.self, RelayCeilingCommand.self, ImagesCommand.self,
            MicroCommand.self,
        ])
}
