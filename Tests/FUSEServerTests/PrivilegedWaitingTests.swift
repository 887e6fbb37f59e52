import Base
import ContentStore
import FUSEServer
import Glibc
import LayerIndex
import LazyFileSystem
import LazyFixtures
import Linux
import SystemPackage
import TestSupport
import Testing

/// The flag O_DIRECT, which glibc's module does not export. A direct read waits for its own request. A read through the
/// page cache waits for a page.
private let directFlag: Int32 = 0o40000

/// Tests of reads that wait for the network, on real mounts. They need root and /dev/fuse.
@Suite(.serialized) struct PrivilegedWaitingTests {
    @Test("many readers of one chunk demand it once") func manyReadersOfOneChunkDemandItOnce() throws {
        var layer = LayerFixture()
        layer.file("file", pattern(4096))
        try MountFixture.with([layer], source: FakeSource(.held)) { mount, path in
            let children = try (0..<64).map { _ in try Child(["/bin/cat", path + "/file"]) }
            #expect(mount.waitForParked(1))
            // All 64 readers are inside their reads before the chunk arrives.
            try waitUntilBlocked(children)
            mount.source.release()
            for child in children {
                let result = try child.wait()
                #expect(result.output == pattern(4096) && result.exitCode == 0)
            }
            #expect(mount.source.requests.count == 1 && mount.source.publishedCount == 1)
        }
    }

    /// Waits until every child sleeps in the kernel.
    private func waitUntilBlocked(_ children: [Child]) throws {
        for child in children {
            let isBlocked = try blockUntil {
                let place = String(decoding: try Sys.readFile("/proc/\(child.pid)/wchan", limit: 4096), as: UTF8.self)
                return ["folio", "fuse", "request", "page"].contains { place.contains($0) }
            }
            #expect(isBlocked)
        }
    }

    @Test("waiting reads block no worker", arguments: [0, 1])
    func waitingReadsBlockNoWorker(kind: Int) throws {
        var layer = LayerFixture()
        for index in 0..<200 { layer.file("cold/\(index)", pattern(5000, seed: index)) }
        layer.file("warm", pattern(100_000))
        try MountFixture.with([layer], source: FakeSource(.held), threads: kind == 0 ? 4 : 1) { mount, path in
            let contents = try mount.fixture.install([layer])
            let warm = try mount.fixture.status("warm").id
            guard case .missing(let miss) = readOnce(mount.fixture.fileSystem, warm) else {
                Issue.record("the warm file is there already")
                return
            }
            try mount.source.publish(contents[0], miss.chunks)
            let readers = try (0..<200).map { try Child(["/bin/cat", "\(path)/cold/\($0)"]) }
            #expect(mount.waitForParked(200))
            #expect(mount.server.parkedReads == 200)
            // All other requests continue.
            let others = try Child.shell(
                "cat \(path)/warm | sha256sum; stat -c %s \(path)/cold/7; ls \(path)/cold | wc -l; df \(path) | wc -l",
                seconds: 10)
            #expect(others.text == "\(Digest.of(pattern(100_000)).hex)  -\n5000\n200\n2\n")
            mount.source.release()
            for (index, reader) in readers.enumerated() {
                #expect(try reader.wait().output == pattern(5000, seed: index))
            }
            #expect(mount.server.parkedReads == 0)
        }
    }

    private func readOnce(_ files: LazyFileSystem, _ node: NodeID) -> ReadResult {
        var buffer = [UInt8](repeating: 0, count: 4096)
        return buffer.withUnsafeMutableBytes { files.read(node, at: 0, into: $0) }
    }

    @Test("frees a killed reader", arguments: [SIGKILL, SIGTERM])
    func freesKilledReader(signal: Int32) throws {
        var layer = LayerFixture()
        layer.file("file", pattern(5000))
        try MountFixture.with([layer], source: FakeSource(.held)) { mount, path in
            // A direct read waits for its own request. A read through the cache waits for the page.
            let reader = try Child(["/bin/dd", "if=\(path)/file", "iflag=direct", "bs=4096", "count=1", "status=none"])
            #expect(mount.waitForParked(1))
            reader.kill(signal)
            let result = try reader.wait(seconds: 10)
            #expect(result.signal == signal)
            #expect(mount.source.waitForCancelled(1))
            #expect(mount.server.statistics.interrupted.value == 1)
            #expect(mount.server.parkedReads == 0)
            mount.source.setMode(.atOnce)
            let after = try Child.run(["/bin/cat", path + "/file"])
            #expect(after.output == pattern(5000))
        }
    }

    /// A program that handles SIGUSR1 while it reads with the given flags, and prints the digest of its data.
    private static let handling = """
        import hashlib, mmap, os, signal, sys
        signal.signal(signal.SIGUSR1, lambda *_: print("handled", flush=True))
        fd = os.open(sys.argv[1], os.O_RDONLY | int(sys.argv[2]))
        page = mmap.mmap(-1, 4096)
        os.preadv(fd, [page], 0)
        print(hashlib.sha256(page[:4096]).hexdigest())
        """

    /// Returns true if the server has received an interrupt and watches the reader. Its thread `fuse-signals` does
    /// that.
    private static func isInterruptWatched() throws -> Bool {
        try Sys.list("/proc/self/task").contains { task in
            let file = Array("/proc/self/task/".utf8) + task.name + Array("/comm".utf8)
            return (try? Sys.readFile(file, limit: 64)) == Array("fuse-signals\n".utf8)
        }
    }

    /// Returns true if a signal for the whole process is pending.
    private static func hasPendingSignal(_ process: Int32) throws -> Bool {
        let status = String(decoding: try Sys.readFile("/proc/\(process)/status", limit: 1 << 16), as: UTF8.self)
        let pending = status.split(separator: "\n").first { $0.hasPrefix("ShdPnd:") }
        return pending?.dropFirst("ShdPnd:".count).contains { $0.isHexDigit && $0 != "0" } ?? false
    }

    /// Checks that a read goes on: programs do not expect EINTR from a file, and a failing page fault raises SIGBUS.
    /// The Go runtime signals its own threads all the time.
    @Test("a nonfatal signal does not interrupt a read", arguments: [0, directFlag])
    func nonfatalSignalDoesNotInterruptRead(flags: Int32) throws {
        var layer = LayerFixture()
        layer.file("file", pattern(5000))
        try MountFixture.with([layer], source: FakeSource(.held)) { mount, path in
            let reader = try Child(["/usr/bin/python3", "-c", Self.handling, path + "/file", "\(flags)"])
            #expect(mount.waitForParked(1))
            for _ in 0..<20 { reader.kill(SIGUSR1) }
            // The kernel sends an interrupt for a direct read. A reader of the page cache keeps waiting, and its signal
            // stays pending.
            let process = reader.pid
            let isSignaled = try blockUntil {
                if flags == directFlag { return try Self.isInterruptWatched() }
                return try Self.hasPendingSignal(process)
            }
            #expect(isSignaled)
            #expect(mount.source.cancelledCount == 0 && mount.server.parkedReads > 0)
            mount.source.setMode(.atOnce)
            mount.source.release()
            let lines = try reader.wait(seconds: 10).text.split(separator: "\n")
            #expect(lines.last.map(String.init) == Digest.of(Array(pattern(5000)[..<4096])).hex)
            #expect(mount.server.statistics.interrupted.value == 0)
        }
    }

    @Test("frees a reader killed after a nonfatal signal") func freesReaderKilledAfterNonfatalSignal() throws {
        var layer = LayerFixture()
        layer.file("file", pattern(5000))
        try MountFixture.with([layer], source: FakeSource(.held)) { mount, path in
            let reader = try Child([
                "/usr/bin/python3", "-c", Self.handling, path + "/file", "\(directFlag)",
            ])
            #expect(mount.waitForParked(1))
            reader.kill(SIGUSR1)
            #expect(try blockUntil { try Self.isInterruptWatched() })
            #expect(mount.server.parkedReads == 1)
            reader.kill(SIGKILL)
            #expect(try reader.wait(seconds: 10).signal == SIGKILL)
            #expect(mount.source.waitForCancelled(1))
            #expect(mount.server.statistics.interrupted.value == 1)
        }
    }

    @Test("a killed reader of a page does not fail the others") func killedReaderOfPageDoesNotFailOthers() throws {
        var layer = LayerFixture()
        layer.file("file", pattern(5000))
        try MountFixture.with([layer], source: FakeSource(.held)) { mount, path in
            let first = try Child(["/bin/cat", path + "/file"])
            #expect(mount.waitForParked(1))
            let second = try Child(["/bin/cat", path + "/file"])
            first.kill(SIGKILL)
            #expect(try first.wait(seconds: 10).signal == SIGKILL)
            mount.source.setMode(.atOnce)
            mount.source.release()
            #expect(try second.wait().output == pattern(5000))
        }
    }

    @Test("a failure is an I/O error with a logged reason") func failureIsIOErrorWithLoggedReason() throws {
        var layer = LayerFixture()
        layer.file("file", pattern(5000))
        layer.file("other", pattern(5000, seed: 1))
        try MountFixture.with([layer], source: FakeSource(.failing("the registry is on fire"))) { mount, path in
            #expect(throws: Errno.ioError) { _ = try Sys.readFile(path + "/file", limit: 1 << 20) }
            #expect(mount.log.withLock { $0 }.contains { $0.contains("the registry is on fire") })
            #expect(mount.server.statistics.failures.value >= 1)
            // The server logs at most once a second, not for each failure.
            for _ in 0..<20 { #expect(throws: Errno.ioError) { _ = try Sys.readFile(path + "/other", limit: 1 << 20) } }
            #expect(mount.log.withLock { $0.count } < 20)
            mount.source.setMode(.atOnce)
            let bytes = try Sys.readFile(path + "/file", limit: 1 << 20)
            #expect(bytes == pattern(5000))
        }
    }

    @Test("a source that reports missing chunks as present causes an error")
    func sourceThatReportsMissingChunksAsPresentCausesError() throws {
        var layer = LayerFixture()
        layer.file("file", pattern(5000))
        try MountFixture.with([layer], source: FakeSource(.lying)) { mount, path in
            #expect(throws: Errno.ioError) { _ = try Sys.readFile(path + "/file", limit: 1 << 20) }
            // Each kernel request makes a bounded number of demands.
            #expect(mount.source.requests.count <= 4 * Int(mount.server.statistics.reads.value))
        }
    }

    @Test("stopping answers waiting reads") func stoppingAnswersWaitingReads() throws {
        var layer = LayerFixture()
        for index in 0..<20 { layer.file("\(index)", pattern(5000)) }
        try MountFixture.with([layer], source: FakeSource(.held)) { mount, path in
            let readers = try (0..<20).map { try Child(["/bin/cat", "\(path)/\($0)"]) }
            #expect(mount.waitForParked(20))
            let start = MonotonicTime.now()
            mount.server.stop()
            #expect(MonotonicTime.now().since(start) < 5_000_000_000)
            for reader in readers { #expect(try reader.wait(seconds: 10).exitCode == 1) }
            #expect(!mount.server.isMounted)
            #expect(mount.source.cancelledCount == 20 && mount.source.pendingCount == 0)
            #expect(try !Sys.isMountPoint(mount.mountPoint))
            // A late completion finds no reader.
            mount.source.release()
            mount.server.stop()
        }
    }

    @Test("unmounting with open reads ends the connection") func unmountingWithOpenReadsEndsConnection() throws {
        var layer = LayerFixture()
        layer.file("file", pattern(5000))
        try MountFixture.with([layer], source: FakeSource(.held)) { mount, path in
            let reader = try Child(["/bin/cat", path + "/file"])
            #expect(mount.waitForParked(1))
            #expect(throws: Errno.resourceBusy) { try Sys.unmount(mount.mountPoint) }
            // The mount is now detached from the tree, but lives while a read is open.
            try Sys.unmount(mount.mountPoint, .detach)
            mount.source.release()
            #expect(try reader.wait().output == pattern(5000))
            mount.server.stop()
            #expect(!mount.server.isMounted)
        }
    }
}
