import CLinux
import Glibc
public import SystemPackage

/// A child process that cannot open files, connect to the network or start processes. It communicates only through the
/// socket at file descriptor 0. The analyzer, which predicts reads, runs in such a process.
///
/// The child must call ``confine(_:)`` before anything else; until then, it is not confined. Keep the thread that calls
/// ``init(program:role:socket:)`` alive: when this thread ends, the kernel kills the confined child.
public struct ConfinedProcess: ~Copyable, Sendable {
    /// The resource limits of a child.
    public struct Limits: Sendable {
        /// The maximum size of the child's private writable memory in bytes (`RLIMIT_DATA`).
        public var memory: UInt64
        /// The maximum size of the child's address space in bytes, including mapped files (`RLIMIT_AS`).
        public var addressSpace: UInt64
        public var descriptors: UInt64
        /// The maximum processor time over the child's whole life, in seconds (`RLIMIT_CPU`).
        public var processorSeconds: UInt64

        public init(memory: UInt64, addressSpace: UInt64, descriptors: UInt64, processorSeconds: UInt64) {
            self.memory = memory
            self.addressSpace = addressSpace
            self.descriptors = descriptors
            self.processorSeconds = processorSeconds
        }
    }

    /// The way a process ended.
    public enum End: Sendable, Equatable {
        case exited(Int32)
        case killed(signal: Int32)
    }

    public let pid: Int32

    /// Starts `program` with `socket` as its file descriptor 0. The program's only argument is `role`, as `argv[0]`.
    /// This argument tells the program to run as a confined child.
    public init(program: String, role: String, socket: borrowing PacketSocket) throws(Errno) {
        var child: pid_t = 0
        let code = rv_spawn_role(program, role, socket.raw, &child)
        guard code == 0 else { throw Errno(rawValue: code) }
        pid = child
    }

    /// The processor time that the process has used so far, in nanoseconds; `nil` if the process no longer exists.
    public var processorTime: UInt64? {
        let time = rv_processor_time(pid)
        return time >= 0 ? UInt64(time) : nil
    }

    /// Kills the child if it still runs, waits for its end, and returns the way it ended. Returns `.exited(-1)` if
    /// another part of the calling process has already collected the child's exit status.
    public consuming func end() -> End {
        kill(pid, SIGKILL)
        var status: Int32 = 0
        while true {
            let result = waitpid(pid, &status, 0)
            if result == pid { break }
            // Another part of this program has already collected the child's exit status.
            if errno != EINTR { return .exited(-1) }
        }
        let signal = status & 0x7F
        return signal == 0 ? .exited((status >> 8) & 0xFF) : .killed(signal: signal)
    }

    /// Confines the calling process: closes all file descriptors but 0, 1 and 2, drops privileges, sets `limits`, and
    /// blocks most system calls (seccomp). Call this function before a second thread starts.
    ///
    /// - Throws: the error of the failed step. The process may then be only partly confined, so it must exit.
    public static func confine(_ limits: Limits) throws(Errno) {
        guard
            rv_confine(limits.memory, limits.addressSpace, limits.descriptors, limits.processorSeconds) == 0
        else { throw Errno(rawValue: errno) }
    }
}
