import Glibc
import Linux
import Testing

struct ThreadSignalsTests {
    private func status(_ pairs: [(String, Int32)]) -> ThreadSignals {
        // Linux's format: a name, a tab, sixteen digits.
        let lines = pairs.map { name, signal in
            let digits = String(UInt64(1) << UInt64(signal - 1), radix: 16)
            return "\(name):\t" + String(repeating: "0", count: 16 - digits.count) + digits
        }
        return ThreadSignals(status: "Name:\treader\nState:\tD (disk sleep)\n" + lines.joined(separator: "\n") + "\n")
    }

    @Test("tells fatal from nonfatal signals") func tellsFatalFromNonfatalSignals() {
        #expect(status([("SigPnd", SIGKILL)]).areFatal)
        #expect(status([("ShdPnd", SIGTERM)]).areFatal)
        #expect(status([("ShdPnd", SIGQUIT), ("SigCgt", SIGTERM)]).areFatal)
        #expect(!status([("SigPnd", SIGURG)]).areFatal)
        #expect(!status([("ShdPnd", SIGCHLD)]).areFatal)
        for kept in ["SigBlk", "SigIgn", "SigCgt"] {
            #expect(!status([("ShdPnd", SIGTERM), (kept, SIGTERM)]).areFatal)
        }
        #expect(!status([]).areFatal)
        #expect(!ThreadSignals(status: "SigPnd\nSigPnd: x\n:\n").areFatal)
    }

    @Test("reads the status of a thread") func readsStatusOfThread() {
        #expect(ThreadSignals(thread: getpid())?.areFatal == false)
        #expect(ThreadSignals(thread: .max) == nil)
    }
}
