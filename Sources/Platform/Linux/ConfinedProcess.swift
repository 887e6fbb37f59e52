import CLinux
import Glibc
public import SystemPackage

/// A child process that runs a role of a program, reads packets from descriptor 0 and has nothing else.
///
/// The child calls ``confine(_:)`` first thing. It dies with the thread that started it.
public struct ConfinedProcess: ~Copyable, Sendable {
    /// The bounds of a child.
    public struct Limits: Sendable {
        /// Bytes of memory of its own.
        public var memory: UInt64
        /// Bytes of address space, mapped files included.
        public var addressSpace: UInt64
        public var descriptors: UInt64
        /// Seconds of processor time in its life.
        public var processorSeconds: UInt64

        public init(memory: UInt64, addressSpace: UInt64, descriptors: UInt64, processorSeconds: UInt64) {
            self.memory = memory
            self.addressSpace = addressSpace
            self.descriptors = descriptors
            self.processorSeconds = processorSeconds
        }
    }

    /// The exit of a process.
    public enum End: Sendable, Equatable {
        case exited(Int32)
        case killed(signal: Int32)
    }

    public let pid: Int32

    /// Starts `program`, whose first argument is `role`, with `socket` as its descriptor 0.
    public init(program: String, role: String, socket: borrowing PacketSocket) throws(Errno) {
        var child: pid_t = 0
        let code = rv_spawn_role(program, role, socket.raw, &child)
        guard code == 0 else { throw Errno(rawValue: code) }
        pid = child
    }

    /// Nanoseconds of processor time so far; `nil` when the process has gone.
    public var processorTime: UInt64? {
        let time = rv_processor_time(pid)
        return time >= 0 ? UInt64(time) : nil
    }

    /// Kills the process, and returns how it had ended before or ended now.
    public consuming func end() -> End {
        kill(pid, SIGKILL)
        var status: Int32 = 0
        while true {
            let result = waitpid(pid, &status, 0)
            if result == pid { break }
            // Somebody else has reaped it: its status is lost.
            if errno != EINTR { return .exited(-1) }
        }
        let signal = status & 0x7F
        return signal == 0 ? .exited((status >> 8) & 0xFF) : .killed(signal: signal)
    }

    /// Confines the calling process. To be called before there is a second thread.
    ///
    /// - Throws: the error of the step that failed: the process must then end.
    public static func confine(_ limits: Limits) throws(Errno) {
        guard
            rv_confine(limits.memory, limits.addressSpace, limits.descriptors, limits.processorSeconds) == 0
        else { throw Errno(rawValue: errno) }
    }
}
