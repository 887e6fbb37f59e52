import ArgumentParser
import Base
import Lab

@main
enum Main {
    static func main() {
        SignalGuard.block()
        // Not an asynchronous main: that ends in libdispatch, which waits on the main thread with no signal blocked.
        let isOver = Guarded(false)
        Task.detached {
            await PodReady.main()
            isOver.withLockBroadcasting { $0 = true }
        }
        isOver.waitUntil { $0 ? () : nil }
    }
}

/// How long from asking for a pod until its application is ready.
struct PodReady: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "PodReady",
        abstract: "Measures how long a pod takes from being asked for until its application is ready.",
        subcommands: [
            DemoCommand.self, GridCommand.self, SummaryCommand.self, RelayCeilingCommand.self, ImagesCommand.self,
            MicroCommand.self, TogetherCommand.self, ArtifactsCommand.self,
        ])
}
