import ArgumentParser
import Base
import Lab

@main
enum Main {
    static func main() {
        SignalGuard.block()
        // `main` is not asynchronous. An asynchronous main ends in libdispatch, which waits on the main thread with no
        // signal blocked.
        let isOver = Guarded(false)
        Task.detached {
            await PodReady.main()
            isOver.withLockBroadcasting { $0 = true }
        }
        isOver.waitUntil { $0 ? () : nil }
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
