public import Base
import Glibc
import Linux

/// Removes a lab when a signal asks the process to end.
public enum SignalGuard {
    /// Runs `body`, the asynchronous main of a program, with the signals blocked until ``install(_:)``. Call this first
    /// in main.
    ///
    /// The program's own main must not be asynchronous: it would end in libdispatch, which waits on the main thread
    /// with no signal blocked.
    public static func run(_ body: @escaping @Sendable () async -> Void) {
        block()
        let isOver = Guarded(false)
        Task.detached {
            await body()
            isOver.withLockBroadcasting { $0 = true }
        }
        isOver.waitUntil { $0 ? () : nil }
    }

    private static let numbers = [SIGINT, SIGTERM, SIGHUP]

    /// Blocks SIGINT, SIGTERM and SIGHUP until ``install(_:)`` handles them. A thread that exists already would still
    /// receive them.
    private static func block() {
        signal(SIGPIPE, SIG_IGN)
        var held = sigset_t()
        sigemptyset(&held)
        for number in numbers { sigaddset(&held, number) }
        pthread_sigmask(SIG_BLOCK, &held, nil)
    }

    /// Makes each of these signals run `teardown` and then end the process with 128 + the signal's number.
    public static func install(_ teardown: Teardown) throws(LabError) {
        do {
            _ = try NamedThread(name: "signals") {
                var number: Int32 = 0
                var set = sigset_t()
                sigemptyset(&set)
                for number in numbers { sigaddset(&set, number) }
                while sigwait(&set, &number) != 0 {}
                let line = "\ntaking everything down (signal \(number))\n"
                _ = line.withCString { write(2, $0, strlen($0)) }
                teardown.run()
                _exit(128 + number)
            }
        } catch {
            throw LabError(.cannotStart, "no thread for signals", cause: error)
        }
    }
}
