import Glibc
import SystemPackage

/// The pending signals of a thread, and the signals that the thread blocks, ignores or catches (proc_pid_status(5)).
public struct ThreadSignals: Sendable, Equatable {
    /// The set of pending signals. In this and the next three sets, the lowest bit stands for signal 1.
    private var pending: UInt64 = 0
    private var blocked: UInt64 = 0
    private var ignored: UInt64 = 0
    private var caught: UInt64 = 0

    /// The signals whose default action does not end the process.
    private static let harmless = [SIGCHLD, SIGCONT, SIGURG, SIGWINCH, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU]
        .reduce(into: UInt64(0)) { $0 |= 1 << UInt64($1 - 1) }

    /// Reads `/proc/<thread>/status`, or returns `nil` if that fails, usually because the thread has ended.
    public init?(thread: Int32) {
        guard let bytes = try? Sys.readFile("/proc/\(thread)/status", limit: 64 << 10) else { return nil }
        self.init(status: String(decoding: bytes, as: UTF8.self))
    }

    /// Parses the text of a status file. A missing line counts as no signals.
    public init(status: String) {
        for line in status.split(separator: "\n") {
            let pair = line.split(separator: ":", maxSplits: 1)
            guard pair.count == 2 else { continue }
            guard let bits = UInt64(pair[1].drop(while: { $0 == "\t" || $0 == " " }), radix: 16) else { continue }
            switch pair[0] {
            // `SigPnd` has the thread's own signals, `ShdPnd` those of its process.
            case "SigPnd", "ShdPnd": pending |= bits
            case "SigBlk": blocked = bits
            case "SigIgn": ignored = bits
            case "SigCgt": caught = bits
            default: break
            }
        }
    }

    /// True if a pending signal is about to end the process: the thread does not block, ignore or catch the signal.
    public var areFatal: Bool { pending & ~blocked & ~ignored & ~caught & ~Self.harmless != 0 }
}
