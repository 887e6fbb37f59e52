public import Base
public import Glibc
import Linux
import SystemPackage

/// A child program in its own process group, with its output in a file.
///
/// The separate group keeps Ctrl-C away from the program, so that only the teardown ends it.
public final class ChildProcess: Sendable {
    /// The exit of a program.
    public enum Exit: Equatable, Sendable {
        case code(Int32)
        case signal(Int32)
    }

    public let name: String
    public let pid: pid_t
    /// The file with the program's standard error. It also has the standard output, unless that has its own file.
    public let logPath: String

    private let exit = Guarded<Exit?>(nil)

    /// Starts `arguments[0]`, which is looked up in PATH. `environment` is added to this process's environment.
    public init(
        _ name: String, _ arguments: [String], log: String, standardOutput: String? = nil,
        environment: [String: String] = [:]
    ) throws(LabError) {
        self.name = name
        logPath = log
        var settings = SpawnSettings()
        defer { settings.destroy() }
        settings.redirect(input: "/dev/null", output: standardOutput ?? log, error: log)
        var merged = Self.ownEnvironment()
        merged["PATH"] = "\(merged["PATH"] ?? ""):/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        merged.merge(environment) { $1 }
        var pid = pid_t()
        let code = withCStrings(arguments) { arguments in
            withCStrings(merged.map { "\($0.key)=\($0.value)" }) { environment in
                arguments[0].map {
                    posix_spawnp(&pid, $0, &settings.actions, &settings.attributes, arguments, environment)
                }
                    ?? EINVAL
            }
        }
        guard code == 0 else {
            throw LabError(.cannotStart, "cannot start \(arguments.first ?? name)", cause: Errno(rawValue: code))
        }
        self.pid = pid
        do {
            let (reaped, exit) = (pid, exit)
            _ = try NamedThread(name: "reap \(name)") { Self.reap(reaped, into: exit) }
        } catch {
            kill(pid, SIGKILL)
            throw LabError(.cannotStart, "no thread to watch over \(name)", cause: error)
        }
    }

    /// Waits for the exit of `pid` and records it.
    ///
    /// The PID is reaped under the lock. So a caller that holds the lock and sees no exit may still signal the PID.
    private static func reap(_ pid: pid_t, into exit: Guarded<Exit?>) {
        var information = siginfo_t()
        while waitid(P_PID, id_t(pid), &information, WEXITED | WNOWAIT) == -1, errno == EINTR {}
        exit.withLockBroadcasting { exit in
            var status: Int32 = 0
            waitpid(pid, &status, 0)
            exit = status & 0x7F == 0 ? .code(status >> 8 & 0xFF) : .signal(status & 0x7F)
        }
    }

    /// The program's exit; `nil` while it runs.
    public var ended: Exit? { exit.withLock { $0 } }

    /// Blocks until the program has exited. Returns `nil` after `timeout` nanoseconds. Call this only on our own
    /// threads.
    public func wait(timeout: UInt64) -> Exit? {
        exit.waitUntil(timeout: timeout) { $0 }
    }

    /// Waits like ``wait(timeout:)``, but without blocking the caller's thread.
    public func ending(timeout: UInt64) async -> Exit? {
        await blocking { self.wait(timeout: timeout) }
    }

    /// Sends signal `number` to the program if it still runs; if `group` is true, to its whole process group.
    public func signal(_ number: Int32, group: Bool = false) {
        exit.withLock { exit in
            guard exit == nil else { return }
            _ = kill(group ? -pid : pid, number)
        }
    }

    /// Asks the program to exit. Kills it and its group after `grace` nanoseconds. Blocks.
    public func terminate(grace: UInt64 = 5_000_000_000) {
        signal(SIGTERM)
        if wait(timeout: grace) != nil { return }
        signal(SIGKILL, group: true)
        _ = wait(timeout: 5_000_000_000)
    }

    /// Returns the program's last `lines` lines of output, for error messages.
    public func logTail(lines: Int = 15) -> String {
        Files.tail(logPath, lines: lines)
    }

    private static func ownEnvironment() -> [String: String] {
        var result: [String: String] = [:]
        var next = environ
        while let entry = next.pointee {
            let text = String(cString: entry)
            if let equals = text.firstIndex(of: "=") {
                result[String(text[..<equals])] = String(text[text.index(after: equals)...])
            }
            next += 1
        }
        return result
    }
}

/// The C objects of posix_spawn(3), set up for child programs.
private struct SpawnSettings {
    var actions = posix_spawn_file_actions_t()
    var attributes = posix_spawnattr_t()

    init() {
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setpgroup(&attributes, 0)
        let flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP
        posix_spawnattr_setflags(&attributes, Int16(flags))
    }

    mutating func redirect(input: String, output: String, error: String) {
        let write = O_WRONLY | O_CREAT | O_APPEND
        posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, write, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, error, write, 0o600)
    }

    mutating func destroy() {
        posix_spawn_file_actions_destroy(&actions)
        posix_spawnattr_destroy(&attributes)
    }
}

/// Calls `body` with a NULL-terminated array of C strings that lives during the call.
private func withCStrings<Result>(
    _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    let copies = strings.map { strdup($0) }
    defer { copies.forEach { free($0) } }
    let terminated = copies + [nil]
    return terminated.withUnsafeBufferPointer { buffer in
        // The array is never empty: it has at least the terminator.
        body(buffer.baseAddress.unsafelyUnwrapped)
    }
}
