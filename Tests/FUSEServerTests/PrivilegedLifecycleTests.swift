import Base
import FUSEServer
import Glibc
import LayerIndex
import LazyFileSystem
import LazyFixtures
import Linux
import SystemPackage
import Testing

/// Tests of starting, stopping and stacking on real mounts. They need root and /dev/fuse.
@Suite(.serialized) struct PrivilegedLifecycleTests {
    private func server(_ directory: String, _ options: FUSEOptions = FUSEOptions()) throws -> FUSEServer {
        let fixture = try StoreFixture(root: directory)
        return FUSEServer(fileSystem: fixture.fileSystem, mountPoint: directory + "/mnt", options: options)
    }

    private func code(_ body: () throws -> Void) -> FUSEError.Code? {
        do {
            try body()
            return nil
        } catch {
            return (error as? FUSEError)?.code
        }
    }

    @Test("each bad mount point has its own error") func eachBadMountPointHasItsOwnError() throws {
        try withTemporaryDirectory { directory in
            let fixture = try StoreFixture(root: directory)
            func start() throws {
                try FUSEServer(fileSystem: fixture.fileSystem, mountPoint: directory + "/mnt").start()
            }
            #expect(code { try start() } == .badMountPoint)
            try Sys.writeFile(directory + "/mnt", [])
            #expect(code { try start() } == .badMountPoint)
            try Sys.unlink(directory + "/mnt")
            try Sys.makeDirectories(directory + "/mnt/sub")
            #expect(code { try start() } == .mountPointInUse)
        }
    }

    @Test("starts once and stops once") func startsOnceAndStopsOnce() throws {
        try withTemporaryDirectory { directory in
            try Sys.makeDirectory(directory + "/mnt")
            let server = try server(directory)
            #expect(!server.isMounted)
            try server.start()
            #expect(server.isMounted)
            #expect(try Sys.isMountPoint(directory + "/mnt"))
            #expect(code { try server.start() } == .alreadyStarted)
            server.stop()
            server.stop()
            #expect(!server.isMounted)
            #expect(try Sys.list(directory + "/mnt").isEmpty)
            #expect(code { try server.start() } == .alreadyStarted)
        }
    }

    @Test("refuses a live mount") func refusesLiveMount() throws {
        try MountFixture.with { mount, _ in
            let second = FUSEServer(fileSystem: mount.fixture.fileSystem, mountPoint: mount.mountPoint)
            #expect(code { try second.start() } == .mountPointInUse)
            #expect(mount.server.isMounted)
        }
    }

    @Test("replaces a dead mount, listed or not", arguments: [false, true])
    func replacesDeadMount(isListed: Bool) throws {
        try MountFixture.with { mount, _ in
            // The kernel keeps the names in its cache, and lists them after the server is gone.
            if isListed { _ = try Sys.list(mount.mountPoint) }
            // Create the state after a crash: a mount without a server.
            let device = try Sys.stat(mount.mountPoint).device
            try FUSEConnection.abort(device: device)
            #expect(throws: Errno.socketNotConnected) { _ = try Sys.statfs(mount.mountPoint) }
            let second = FUSEServer(fileSystem: mount.fixture.fileSystem, mountPoint: mount.mountPoint)
            try second.start()
            #expect(try Sys.list(mount.mountPoint).map(\.text) == ["content"])
            second.stop()
        }
    }

    @Test("reports a lost connection") func reportsLostConnection() throws {
        try withTemporaryDirectory { directory in
            try Sys.makeDirectory(directory + "/mnt")
            let lost = Guarded(0)
            let server = try server(directory, FUSEOptions(connectionLost: { lost.withLockBroadcasting { $0 += 1 } }))
            try server.start()
            try Sys.unmount(directory + "/mnt")
            #expect(lost.waitUntil(timeout: 10_000_000_000) { $0 == 1 ? true : nil } == true)
            #expect(!server.isMounted)
            server.stop()
        }
    }

    @Test("supports an overlay on top") func supportsOverlayOnTop() throws {
        let bytes = pattern(200_000)
        var layer = LayerFixture()
        layer.file("app/data", bytes, chunk: 65_536, mode: 0o640, uid: 10)
        layer.file("app/gone", [1])
        layer.directory("app/dir")
        layer.file("app/dir/inner", [2])
        try MountFixture.with([layer], source: FakeSource(.later)) { mount, path in
            let place = mount.directory
            for name in ["upper", "work", "merged"] { try Sys.makeDirectory("\(place)/\(name)") }
            let merged = place + "/merged"
            try Sys.mount(
                "overlay", on: merged, type: "overlay",
                options: "lowerdir=\(path),upperdir=\(place)/upper,workdir=\(place)/work")
            defer { try? Sys.unmount(merged, .detach) }
            #expect(try Child.shell("sha256sum < \(merged)/app/data").text.hasPrefix(Digest.of(bytes).hex))
            // Copy-up, removal, a new file, and the contents of a recreated directory.
            let script = """
                set -e
                cd \(merged)
                printf end >> app/data
                rm app/gone
                echo new > app/new
                rm -r app/dir
                mkdir app/dir
                ls -A app app/dir
                stat -c '%a %u %s' app/data
                """
            let result = try Child.shell(script)
            #expect(result.exitCode == 0, "\(result.text)")
            #expect(result.text == "app:\ndata\ndir\nnew\n\napp/dir:\n640 10 200003\n")
            #expect(try Sys.readFile(merged + "/app/data", limit: 1 << 20) == bytes + Array("end".utf8))
            #expect(try Sys.readFile(path + "/app/data", limit: 1 << 20) == bytes)
        }
    }

    @Test("keeps inode numbers across a restart") func keepsInodeNumbersAcrossRestart() throws {
        var layer = LayerFixture()
        layer.file("a/b/c", [1])
        layer.add("a/d", .hardlink, mode: 0o644, link: "a/b/c")
        var seen: [[UInt64]] = []
        for _ in 0..<2 {
            try MountFixture.with([layer]) { _, path in
                seen.append(try ["", "/a", "/a/b", "/a/b/c", "/a/d"].map { try Sys.stat(path + $0).inode })
            }
        }
        #expect(seen[0] == seen[1] && seen[0][3] == seen[0][4])
    }

    @Test("open files fail cleanly after the server stops") func openFilesFailCleanlyAfterServerStops() throws {
        var layer = LayerFixture()
        layer.file("file", pattern(500_000))
        try MountFixture.with([layer]) { mount, path in
            let file = try Sys.open(path + "/file", .readOnly)
            mount.server.stop()
            var buffer = [UInt8](repeating: 0, count: 4096)
            // The read fails at once.
            #expect(throws: Errno.self) {
                _ = try buffer.withUnsafeMutableBytes { try Sys.preadAll(file.raw, into: $0, at: 300_000) }
            }
        }
    }
}
