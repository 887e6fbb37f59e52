import Glibc
import SystemPackage

/// What signals wait for a thread, as proc(5) tells it.
public struct ThreadSignals: Sendable, Equatable {
    /// One bit a signal, the first for signal 1.
    private var pending: UInt64 = 0
    private var blocked: UInt64 = 0
    private var ignored: UInt64 = 0
    private var caught: UInt64 = 0

    /// Those whose default is to do nothing, or to stop or go on.
    private static let harmless = [SIGCHLD, SIGCONT, SIGURG, SIGWINCH, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU]
        .reduce(into: UInt64(0)) { $0 |= 1 << UInt64($1 - 1) }

    /// Reads `/proc/<thread>/status`; `nil` when the thread has gone.
    public init?(thread: Int32) {
        guard let bytes = try? Sys.readFile("/proc/\(thread)/status", limit: 64 << 10) else { return nil }
        self.init(status: String(decoding: bytes, as: UTF8.self))
    }

    /// Takes the text of a status file apart; what is not in it counts as no signal.
    public init(status: String) {
        for line in status.split(separator: "\n") {
            let pair = line.split(separator: ":", maxSplits: 1)
            guard pair.count == 2 else { continue }
            guard let bits = UInt64(pair[1].drop(while: { $0 == "\t" || $0 == " " }), radix: 16) else { continue }
            switch pair[0] {
            // The thread's own, and those of its process.
            case "SigPnd", "ShdPnd": pending |= bits
            case "SigBlk": blocked = bits
            case "SigIgn": ignored = bits
            case "SigCgt": caught = bits
            default: break
            }
        }
    }

    /// Whether a signal waits that ends the process.
    public var areFatal: Bool { pending & ~blocked & ~ignored & ~caught & ~Self.harmless != 0 }
}
