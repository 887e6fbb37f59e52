import CLinux
import Glibc
public import SystemPackage

/// A child process that runs a program in another role, such as the analyzer, without access to the system. It
/// communicates only through the socket at descriptor 0.
///
/// The child must call ``confine(_:)`` before anything else. From then on it dies with the parent's thread that started
/// it.
public struct ConfinedProcess: ~Copyable, Sendable {
    /// The resource limits of a child.
    public struct Limits: Sendable {
        /// The most private memory in bytes.
        public var memory: UInt64
        /// The most address space in bytes, including mapped files.
        public var addressSpace: UInt64
        public var descriptors: UInt64
        /// The most processor time in seconds, over the child's whole life.
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

    /// Starts `program` with `role` as its name (`argv[0]`, without further arguments) and `socket` as its descriptor
    /// 0.
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

    /// Kills the process if it still runs, and returns the way it ended.
    public consuming func end() -> End {
        kill(pid, SIGKILL)
        var status: Int32 = 0
        while true {
            let result = waitpid(pid, &status, 0)
            if result == pid { break }
            // Another part of this process has reaped the child, so its status is lost.
            if errno != EINTR { return .exited(-1) }
        }
        let signal = status & 0x7F
        return signal == 0 ? .exited((status >> 8) & 0xFF) : .killed(signal: signal)
    }

    /// Confines the calling process. Call it before a second thread starts.
    ///
    /// - Throws: the error of the failed step. The process must then exit.
    public static func confine(_ limits: Limits) throws(Errno) {
        guard
            rv_confine(limits.memory, limits.addressSpace, limits.descriptors, limits.processorSeconds) == 0
        else { throw Errno(rawValue: errno) }
    }
}
