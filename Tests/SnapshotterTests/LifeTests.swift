import Base
import ContainerdAPI
import ContentStore
import GRPCCore
import Linux
import NodeDatabase
import Snapshotter
import TestSupport
import Testing

/// Tests of removal, cleanup, usage, and recovery after a crash.
struct LifeTests {
    @Test func removingIsQuickAndCleaningDeletes() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            try await snapshotter.layer("base")
            let mounts = try await snapshotter.prepare("key", "base")
            let upper = try #require(mounts.first?.options.first { $0.hasPrefix("upperdir=") }).dropFirst(9)
            try Sys.makeDirectories(String(upper) + "/some/deep/tree")
            #expect(await failure { try await snapshotter.remove("base") }?.code == .failedPrecondition)
            try await snapshotter.remove("key")
            #expect(try Sys.exists(String(upper)))
            try await snapshotter.cleanup()
            #expect(try !Sys.exists(String(upper)))
            #expect(try Sys.list(snapshotter.root + "/snapshots").count == 1)
            try await snapshotter.remove("base")
            try await snapshotter.cleanup()
            #expect(try Sys.list(snapshotter.root + "/snapshots").isEmpty)
            // Many concurrent cleanups with nothing to do must succeed.
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<10 { group.addTask { try await snapshotter.cleanup() } }
                try await group.waitForAll()
            }
        }
    }

    @Test func aChainIsForgottenWithItsLastSnapshot() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            let bottom = Layer("bottom")
            let top = Layer("top")
            let other = Layer("other")
            try await snapshotter.remoteChain([bottom, top])
            try await snapshotter.remoteChain([other])
            #expect(try await snapshotter.unpack(top, on: other.chainID.description) == nil)
            #expect(
                Set(try snapshotter.records.chains()) == [
                    bottom.chain(), top.chain(on: bottom), other.chain(), top.chain(on: other),
                ])
            try await snapshotter.remove(top.chainID.description)
            try await snapshotter.remove(bottom.chainID.description)
            #expect(snapshotter.remote.forgotten.isEmpty)
            try await snapshotter.cleanup()
            #expect(Set(snapshotter.remote.forgotten) == [top.chain(on: bottom), bottom.chain()])
            #expect(Set(try snapshotter.records.chains()) == [other.chain(), top.chain(on: other)])
        }
    }

    @Test func aCleanupSweepsUnlessALayerIsBeingPrepared() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            try await snapshotter.cleanup()
            let before = snapshotter.remote.sweeps
            #expect(before > 0)
            snapshotter.remote.hold()
            async let outcome = snapshotter.unpack(Layer("layer"))
            await snapshotter.remote.untilAsked(1)
            try await snapshotter.cleanup()
            #expect(snapshotter.remote.sweeps == before)
            snapshotter.remote.release()
            #expect(try await outcome == nil)
            try await snapshotter.cleanup()
            #expect(snapshotter.remote.sweeps == before + 1)
        }
    }

    /// containerd calls `Cleanup` once after it removes an image, while the image's layers may still be in use.
    @Test func aCleanupThatLeavesSomethingIsRepeated() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            let layer = Layer("layer")
            try await snapshotter.remoteChain([layer])
            try await snapshotter.remove(layer.chainID.description)
            snapshotter.remote.use(true)
            for _ in 0..<2 { try await snapshotter.cleanup() }
            let before = snapshotter.remote.forgotten.count
            // The second cleanup schedules no second repetition.
            await snapshotter.clock.untilSleeping(for: .seconds(150))
            snapshotter.clock.advance(by: .seconds(150))
            #expect(await eventually { snapshotter.remote.forgotten.count > before })
            // Still in use: the cleanup is repeated again.
            await snapshotter.clock.untilSleeping(for: .seconds(150))
            snapshotter.remote.use(false)
            snapshotter.clock.advance(by: .seconds(150))
            #expect(try await eventually { try snapshotter.records.removed(limit: 10).chains.isEmpty })
            #expect(snapshotter.remote.forgotten.count == before + 2)
        }
    }

    @Test func aChainThatCameBackIsNotForgotten() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            let layer = Layer("layer")
            try await snapshotter.remoteChain([layer])
            try await snapshotter.remove(layer.chainID.description)
            try await snapshotter.remoteChain([layer])
            try await snapshotter.cleanup()
            #expect(snapshotter.remote.forgotten.isEmpty)
        }
    }

    /// Removes everything that is listed, children first, as containerd's garbage collector does.
    @Test func aGarbageCollectionEmptiesTheStore() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            try await snapshotter.remoteChain([Layer("a"), Layer("b"), Layer("c")])
            try await snapshotter.layer("local", on: Layer("c").chainID.description)
            try Sys.makeDirectories(
                snapshotter.remote.directory + "/" + Layer("c").chain(on: Layer("a"), Layer("b")).id.hex)
            _ = try await snapshotter.prepare("container", "local")
            var left = try await snapshotter.frames().flatMap { $0 }
            while !left.isEmpty {
                let parents = Set(left.map(\.parent))
                let leaves = left.filter { !parents.contains($0.name) }
                try #require(!leaves.isEmpty)
                for leaf in leaves { try await snapshotter.remove(leaf.name) }
                left = try await snapshotter.frames().flatMap { $0 }
            }
            try await snapshotter.cleanup()
            #expect(snapshotter.remote.forgotten.count == 3)
            #expect(try Sys.list(snapshotter.root + "/snapshots").isEmpty)
        }
    }

    @Test func usageCountsTheSnapshotAlone() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            let base = try #require(try await snapshotter.prepare("base key").first).source
            try Sys.writeFile(base + "/file", Array(repeating: 1, count: 100_000))
            try Sys.link(base + "/file", path: base + "/second name")
            try Sys.makeDirectory(base + "/directory")
            try Sys.symlink("/etc", path: base + "/link")
            let active = try await snapshotter.usage("base key")
            #expect(active.inodes == 4)
            #expect(active.size >= 100_000 && active.size < 150_000)
            try await snapshotter.commit("base", "base key")
            #expect(try await snapshotter.usage("base") == active)
            // The recorded usage is final.
            try Sys.writeFile(base + "/late", [1])
            #expect(try await snapshotter.usage("base") == active)
            _ = try await snapshotter.prepare("top", "base")
            #expect(try await snapshotter.usage("top").inodes == 1)
            _ = try await snapshotter.view("view", "base")
            #expect(try await snapshotter.usage("view").inodes == 0)
        }
    }

    // MARK: - Restarts

    @Test func everythingIsThereAfterARestart() async throws {
        try await withTemporaryDirectory { root in
            let layer = Layer("layer")
            let (frames, mounts) = try await withSnapshotter(root: root) { (snapshotter: Harness) async throws in
                try await snapshotter.remoteChain([layer])
                try await snapshotter.layer("local", on: layer.chainID.description, ["label": "ü"])
                _ = try await snapshotter.prepare("container", "local")
                return (try await snapshotter.frames(), try await snapshotter.mounts("container"))
            }
            try await withSnapshotter(root: root) { (snapshotter: Harness) async throws in
                let found = try await snapshotter.frames()
                #expect(found == frames)
                #expect(try await snapshotter.mounts("container") == mounts)
                #expect(try await snapshotter.unpack(layer, namespace: "default/9") == nil)
                #expect(try await snapshotter.frames() == frames)
                #expect(snapshotter.state.recovery == nil)
            }
        }
    }

    @Test func whatWasRemovedBeforeACrashIsDeletedAfterIt() async throws {
        try await withTemporaryDirectory { root in
            let layer = Layer("layer")
            try await withSnapshotter(root: root) { (snapshotter: Harness) async throws in
                _ = try await snapshotter.prepare("key")
                try await snapshotter.remove("key")
                try await snapshotter.remoteChain([layer])
                try await snapshotter.remove(layer.chainID.description)
            }
            try await withSnapshotter(root: root) { (snapshotter: Harness) async throws in
                try await snapshotter.cleanup()
                #expect(try Sys.list(snapshotter.root + "/snapshots").isEmpty)
                #expect(snapshotter.remote.forgotten == [layer.chain()])
            }
        }
    }

    @Test func aDirectoryWithoutARecordIsDeleted() async throws {
        try await withTemporaryDirectory { root in
            try await withSnapshotter(root: root) { _ = try await $0.prepare("key") }
            // Leave the state of a process that died between creating the directory and committing the record.
            try Sys.makeDirectories(root + "/state/snapshots/2/fs/something")
            try Sys.makeDirectories(root + "/state/snapshots/77/fs")
            try await withSnapshotter(root: root) { (snapshotter: Harness) async throws in
                // The old directories may not have been deleted yet, so their numbers are not assigned.
                let upper = try #require(try await snapshotter.prepare("second").first).source
                #expect(upper.hasSuffix("/snapshots/78/fs"))
                #expect(try !Sys.exists(upper + "/something"))
                try await snapshotter.cleanup()
                let names = try Sys.list(snapshotter.root + "/snapshots").map(\.text).sorted()
                #expect(names == ["1", "78"])
                #expect(try Sys.exists(upper))
            }
        }
    }

    @Test func aRecordWithoutADirectoryGetsAnEmptyOneIfItIsActive() async throws {
        try await withTemporaryDirectory { root in
            try await withSnapshotter(root: root) { (snapshotter: Harness) async throws in
                try await snapshotter.layer("base")
                _ = try await snapshotter.prepare("key", "base")
            }
            for name in ["1", "2"] { try removeTree(root + "/state/snapshots/" + name) }
            try await withSnapshotter(root: root) { (snapshotter: Harness) async throws in
                // The first answer shows that the recovery is complete.
                #expect(try await snapshotter.names() == ["base", "key"])
                let names = try Sys.list(snapshotter.root + "/snapshots").map(\.text)
                #expect(names == ["2"])
                #expect(try Sys.exists(snapshotter.root + "/snapshots/2/work"))
                // No new snapshot may be created on top of the lost one.
                #expect(await failure { _ = try await snapshotter.prepare("new", "base") } != nil)
                #expect(try await snapshotter.names() == ["base", "key"])
            }
        }
    }

    enum Damage: String, CaseIterable, Sendable {
        case text, truncated, bytes, foreign
    }

    @Test(arguments: Damage.allCases)
    func anUnusableDatabaseIsSetAside(_ damage: Damage) async throws {
        try await withTemporaryDirectory { root in
            let path = root + "/state/state.db"
            try await withSnapshotter(root: root) { (snapshotter: Harness) async throws in
                for number in 0..<40 { _ = try await snapshotter.prepare("key \(number)") }
            }
            var bytes = try Sys.readFile(path, limit: 64 << 20)
            switch damage {
            case .text: bytes = Array("this is no database, but somebody's notes\n".utf8)
            case .truncated: bytes.removeLast(bytes.count / 2)
            // Only pages after the first one are changed, so the header is good.
            case .bytes: for index in 4096..<bytes.count where index % 7 == 0 { bytes[index] ^= 0x55 }
            // The application ID of another program, big-endian at offset 68 of the header (SQLite's file format, 1.3).
            case .foreign: bytes.replaceSubrange(68..<72, with: [0x47, 0x50, 0x4B, 0x47])
            }
            for name in ["", "-wal", "-shm"] { try? Sys.unlink(path + name) }
            try Sys.writeFile(path, bytes)
            try await withSnapshotter(root: root) { (snapshotter: Harness) async throws in
                let recovery = try #require(snapshotter.state.recovery)
                #expect(recovery.quarantined.count >= 2)
                for place in recovery.quarantined { #expect(try Sys.exists(place)) }
                // Running containers keep their directories.
                let kept = try #require(recovery.quarantined.first { $0.contains("/snapshots.broken") })
                #expect(try Sys.list(kept).count == 40)
                #expect(try await snapshotter.names().isEmpty)
                _ = try await snapshotter.prepare("key 1")
            }
            try await withSnapshotter(root: root) { (snapshotter: Harness) async throws in
                #expect(snapshotter.state.recovery == nil)
                let names = try await snapshotter.names()
                #expect(names == ["key 1"])
            }
        }
    }

    @Test(arguments: ["relative", "/with space", "/with,comma", "/with:colon", "/back\\slash"])
    func aRootThatMountOptionsCannotHoldIsRefused(_ root: String) throws {
        let error = #expect(throws: NodeDatabaseError.self) { _ = try StateDatabase(root: root) }
        #expect(error?.code == .invalidArgument)
    }

    @Test func oneStateDirectoryHasOneOwner() throws {
        try withTemporaryDirectory { root in
            let first = try StateDatabase(root: root)
            let error = #expect(throws: NodeDatabaseError.self) { _ = try StateDatabase(root: root) }
            #expect(error?.code == .inUse)
            try first.close()
        }
    }
}
