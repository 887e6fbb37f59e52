import Base
import Glibc
import Linux

/// Takes a lab down when the process is asked to end.
public enum SignalGuard {
    private static let numbers = [SIGINT, SIGTERM, SIGHUP]

    /// From now on SIGINT, SIGTERM and SIGHUP run `teardown` and then end the process with 128 + the number.
    /// Call it at the start of main, before any other thread exists: the signals are blocked in all threads and taken
    /// up by one of our own.
    public static func install(_ teardown: Teardown) throws(LabError) {
        signal(SIGPIPE, SIG_IGN)
        var waited = sigset_t()
        sigemptyset(&waited)
        for number in numbers { sigaddset(&waited, number) }
        pthread_sigmask(SIG_BLOCK, &waited, nil)
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
