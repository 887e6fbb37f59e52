import Base
import Glibc
import Linux

/// A program that a test runs, so that the process that serves a mount does not read it.
public final class Child: Sendable {
    public struct Failure: Error {
        public let what: String

        public init(what: String) {
            self.what = what
        }
    }

    /// The outcome of a finished program.
    public struct Result: Sendable {
        /// The status, as waitpid(2) returns it.
        public let status: Int32
        /// Standard output and error.
        public let output: [UInt8]

        public var exitCode: Int32? { status & 0x7f == 0 ? (status >> 8) & 0xff : nil }
        public var signal: Int32? { status & 0x7f == 0 ? nil : status & 0x7f }
        public var text: String { String(decoding: output, as: UTF8.self) }
    }

    public let pid: Int32
    private let output: OwnedDescriptor

    /// Starts a program. Its name is looked up in PATH.
    public init(_ arguments: [String]) throws {
        var ends: [Int32] = [-1, -1]
        // Use a socket pair, because it can be created with close-on-exec in one call: other tests start programs too.
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw Failure(what: "no socket pair: \(errno)") }
        output = OwnedDescriptor(taking: ends[0])
        let input = OwnedDescriptor(taking: ends[1])
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, input.raw, 1)
        posix_spawn_file_actions_adddup2(&actions, input.raw, 2)
        // Reset the signals to what a program expects. Threads of the test runner block signals, and a shell may ignore
        // some.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var pid = pid_t()
        let code = posix_spawnp(&pid, arguments[0], &actions, &attributes, &words, environ)
        guard code == 0 else { throw Failure(what: "cannot run \(arguments): error \(code)") }
        self.pid = pid
    }

    /// Waits until the program has ended and its output is complete. Kills the program after `seconds`.
    public func wait(seconds: UInt64 = 30) throws -> Result {
        let deadline = MonotonicTime.now().advanced(by: seconds * 1_000_000_000)
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            var state = pollfd(fd: output.raw, events: Int16(POLLIN), revents: 0)
            let left = deadline.since(.now()) / 1_000_000
            guard left > 0, poll(&state, 1, Int32(left)) > 0 else {
                Glibc.kill(pid, SIGKILL)
                throw Failure(what: "process \(pid) did not end in \(seconds) s")
            }
            let count = try buffer.withUnsafeMutableBytes { try Sys.read(output.raw, into: $0) }
            if count == 0 { break }
            bytes += buffer[..<count]
        }
        var status: Int32 = 0
        guard waitpid(pid, &status, 0) == pid else { throw Failure(what: "process \(pid) is lost") }
        return Result(status: status, output: bytes)
    }

    public func kill(_ signal: Int32) {
        Glibc.kill(pid, signal)
    }

    /// Runs a program to its end.
    public static func run(_ arguments: [String], seconds: UInt64 = 30) throws -> Result {
        try Child(arguments).wait(seconds: seconds)
    }

    /// Runs a shell script to its end.
    public static func shell(_ script: String, seconds: UInt64 = 30) throws -> Result {
        try run(["/bin/sh", "-c", script], seconds: seconds)
    }
}
