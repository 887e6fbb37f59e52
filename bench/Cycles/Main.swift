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
            await Cycles.main()
            isOver.withLockBroadcasting { $0 = true }
        }
        isOver.waitUntil { $0 ? () : nil }
    }
}
