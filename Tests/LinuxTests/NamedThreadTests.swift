import Base
import Glibc
import Linux
import Testing

@Suite struct NamedThreadTests {
    /// Returns a field of the calling thread's status in /proc.
    private static func status(_ key: String) -> String {
        let text = (try? Sys.readFile("/proc/thread-self/status", limit: 1 << 16)) ?? []
        return String(decoding: text, as: UTF8.self).split(separator: "\n")
            .first { $0.hasPrefix(key + ":") }
            .map { String($0.drop { $0 != "\t" }.dropFirst()) } ?? ""
    }

    @Test(
        "sets the name and blocks signals",
        arguments: [
            ("rivulet-worker", "rivulet-worker"), ("a name that is far too long", "a name that is "), ("", ""),
        ])
    func setsNameAndBlocksSignals(name: String, shown: String) throws {
        let seen = Guarded(("", ""))
        let thread = try NamedThread(name: name) {
            let values = (Self.status("Name"), Self.status("SigBlk"))
            seen.withLock { $0 = values }
        }
        thread.join()
        let (found, blocked) = seen.withLock { $0 }
        if !name.isEmpty { #expect(found == shown) }
        let mask = try #require(UInt64(blocked, radix: 16))
        // Every signal is blocked, except SIGKILL and SIGSTOP, which cannot be, and glibc's own two (32 and 33).
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD, SIGALRM, SIGPIPE] {
            #expect(mask & (1 << UInt64(signal - 1)) != 0, "signal \(signal)")
        }
    }

    @Test("the creator keeps its signal mask") func creatorKeepsItsSignalMask() throws {
        let before = Self.status("SigBlk")
        try NamedThread(name: "x") {}.join()
        #expect(Self.status("SigBlk") == before)
    }

    @Test("many threads may join") func manyThreadsMayJoin() throws {
        let release = Guarded(false)
        let joined = Counter()
        let thread = try NamedThread(name: "target") { release.waitUntil { $0 ? () : nil } }
        let waiters = try (0..<4).map { number in
            try NamedThread(name: "waiter-\(number)") {
                thread.join()
                joined.add()
            }
        }
        #expect(!thread.isFinished)
        release.withLockBroadcasting { $0 = true }
        for waiter in waiters { waiter.join() }
        thread.join()
        #expect(joined.value == 4)
        #expect(thread.isFinished)
    }

    /// Checks that the thread outlives its handle, and that its captures are released when it ends.
    @Test("outlives its handle") func outlivesItsHandle() throws {
        final class Token: Sendable {}
        let done = Guarded(false)
        weak var left: Token?
        do {
            let token = Token()
            left = token
            _ = try NamedThread(name: "loose") {
                _ = token
                done.withLockBroadcasting { $0 = true }
            }
        }
        done.waitUntil { $0 ? () : nil }
        // The thread releases the closure shortly after the closure returns.
        let start = MonotonicTime.now()
        while left != nil, MonotonicTime.now().since(start) < 10_000_000_000 { sched_yield() }
        #expect(left == nil)
    }
}
