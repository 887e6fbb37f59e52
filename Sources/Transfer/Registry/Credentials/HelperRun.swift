import Base
import Glibc

/// One run of a credential helper, with limits on its time and output. At the end of the run, this type kills every
/// remaining process of the helper's process group.
///
/// This type uses `posix_spawn`, not swift-subprocess. Version 1.0 of that package traps ("FileDescriptor was not
/// closed") when a program exits without reading its input. A helper must not be able to crash the daemon.
struct HelperRun: Sendable {
    struct Outcome: Sendable {
        var output: [UInt8]
        var succeeded: Bool
    }

    /// The longest accepted output, in bytes.
    private static let maximumOutput = 256 << 10
    /// The interval, in milliseconds, at which we check if the program has exited. Waiting for the end of the output is
    /// not enough. A child of the program may hold the output open after the program has exited.
    private static let pollInterval: UInt64 = 20

    let program: String
    let input: String
    let timeout: Duration

    /// Runs the program, and blocks the calling thread for about ``timeout`` at most.
    ///
    /// - Throws: `credentials` if the program cannot be started, takes too long, or writes too much.
    func perform() throws(RegistryError) -> Outcome {
        let source = try inputFile()
        defer { close(source) }
        var ends: [Int32] = [-1, -1]
        // Use a socket pair instead of a pipe, because we can create it close-on-exec in one step without GNU
        // extensions.
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw failed("socketpair", errno) }
        defer { close(ends[0]) }
        let child: pid_t
        do throws(RegistryError) {
            child = try spawn(input: source, output: ends[1])
        } catch {
            close(ends[1])
            throw error
        }
        close(ends[1])
        // No process of the helper's process group may outlive this call.
        var status: Int32?
        defer {
            kill(-child, SIGKILL)
            if status == nil { _ = Self.wait(child, 0) }
        }
        let deadline = MonotonicTime.now().advanced(by: timeout)
        let output = try read(ends[0], of: child, until: deadline, status: &status)
        while status == nil {
            status = Self.wait(child, WNOHANG)
            guard status == nil else { break }
            guard MonotonicTime.now() < deadline else { throw late }
            usleep(1000)
        }
        return Outcome(output: output, succeeded: status == 0)
    }

    private var late: RegistryError { RegistryError(.credentials, "\(program) did not finish in time") }

    private func failed(_ call: String, _ error: Int32) -> RegistryError {
        RegistryError(.credentials, "cannot run \(program): \(call): errno \(error)")
    }

    /// Returns the file descriptor of an unnamed file that contains the input. The caller closes the file descriptor. A
    /// pipe is not suitable, because writing to it could block us if the program does not read.
    private func inputFile() throws(RegistryError) -> Int32 {
        let path = "/tmp/.rivulet-helper-\(UInt64.random(in: 0 ... .max))"
        let file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw failed("open", errno) }
        unlink(path)
        let bytes = Array(input.utf8)
        guard pwrite(file, bytes, bytes.count, 0) == bytes.count else {
            let error = errno
            close(file)
            throw failed("write", error)
        }
        return file
    }

    private func spawn(input: Int32, output: Int32) throws(RegistryError) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // Give the helper its own process group, and the default signal handling that a shell would give it. We may
        // have blocked or ignored signals, which the helper would inherit.
        var none = sigset_t()
        sigemptyset(&none)
        var all = sigset_t()
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        let words = [strdup(program), strdup("get")]
        defer { for word in words { free(word) } }
        guard words.allSatisfy({ $0 != nil }) else { throw failed("strdup", ENOMEM) }
        var child: pid_t = 0
        let error = posix_spawn(&child, program, &actions, &attributes, words + [nil], environ)
        guard error == 0 else { throw failed("posix_spawn", error) }
        return child
    }

    private func read(
        _ descriptor: Int32, of child: pid_t, until deadline: MonotonicTime, status: inout Int32?
    ) throws(RegistryError) -> [UInt8] {
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let left = deadline.since(MonotonicTime.now())
            guard left > 0 else { throw late }
            var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let ready = poll(&waiting, 1, Int32(min(left / 1_000_000 + 1, Self.pollInterval)))
            if ready <= 0 {
                // The program has exited, but one of its children holds the socket open. Do not wait for more output.
                if status != nil { return output }
                status = Self.wait(child, WNOHANG)
                continue
            }
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count == 0 { return output }
            guard count > 0 else {
                if errno == EINTR { continue }
                throw failed("read", errno)
            }
            guard output.count + count <= Self.maximumOutput else {
                throw RegistryError(.credentials, "\(program) writes more than \(Self.maximumOutput) bytes")
            }
            output.append(contentsOf: buffer.prefix(count))
        }
    }

    /// Returns the child's wait status. Returns `nil` if the child still runs, or -1 if another part of our process has
    /// already reaped the child.
    ///
    /// - Parameter options: the options of `waitpid`: `WNOHANG`, or 0 to wait until the child exits.
    private static func wait(_ child: pid_t, _ options: Int32) -> Int32? {
        var status: Int32 = 0
        while true {
            let result = waitpid(child, &status, options)
            if result == child { return status }
            // Another part of our process has reaped the child, so its status is lost.
            if result < 0 && errno != EINTR { return -1 }
            if result == 0 { return nil }
        }
    }
}
