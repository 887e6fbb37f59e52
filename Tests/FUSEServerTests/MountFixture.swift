import Base
import FUSEServer
import LazyFileSystem
import LazyFixtures
import Linux
import SystemPackage
import Testing

/// A mounted file system for one test. It is always removed afterwards. If the test hangs, the fixture aborts the
/// connection, which frees the readers.
final class MountFixture: Sendable {
    let fixture: StoreFixture
    let server: FUSEServer
    let directory: String
    let log: Guarded<[String]>

    var source: FakeSource { fixture.source }
    var mountPoint: String { server.mountPoint }

    private init(_ directory: String, _ source: FakeSource, threads: Int) throws {
        self.directory = directory
        fixture = try StoreFixture(root: directory, source: source)
        try Sys.makeDirectory(directory + "/mnt")
        let log = Guarded<[String]>([])
        self.log = log
        server = FUSEServer(
            fileSystem: fixture.fileSystem, mountPoint: directory + "/mnt",
            options: FUSEOptions(threads: threads, log: { line in log.withLock { $0.append(line) } }))
    }

    /// Runs `body` with a mount of `layers` as one chain; `body` gets the chain's directory.
    static func with(
        _ layers: [LayerFixture] = [], source: FakeSource = FakeSource(), threads: Int = 4,
        _ body: (MountFixture, String) throws -> Void
    ) throws {
        try withTemporaryDirectory(prefix: "rivulet-mount-") { directory in
            let mount = try MountFixture(directory, source, threads: threads)
            var path = ""
            if !layers.isEmpty { path = "\(mount.mountPoint)/\(try mount.fixture.mount(layers).id.hex)" }
            try mount.server.start()
            let device = try Sys.stat(mount.mountPoint).device
            let ended = Guarded(false)
            let watchdog = try NamedThread(name: "watchdog") {
                let inTime = ended.waitUntil(timeout: 60_000_000_000) { $0 ? true : nil }
                if inTime == nil { try? FUSEConnection.abort(device: device) }
            }
            defer {
                ended.withLockBroadcasting { $0 = true }
                watchdog.join()
                mount.server.stop()
                // In case stop failed, unmount here: the directory is removed next, so nothing may stay mounted.
                try? Sys.unmount(mount.mountPoint, [.force, .detach])
            }
            try body(mount, path)
            #expect(ended.withLock { !$0 })
        }
    }

    /// Waits until `count` reads are parked.
    func waitForParked(_ count: Int) -> Bool {
        source.waitForPending(count)
    }
}

/// Returns `count` bytes that depend on their position.
func pattern(_ count: Int, seed: Int = 0) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: ($0 &* 2_654_435_761 + seed) >> 7) }
}
