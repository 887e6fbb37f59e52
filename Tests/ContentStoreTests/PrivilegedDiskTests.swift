import Base
import ContentStore
import LayerIndex
import Linux
import SystemPackage
import Testing

/// Tests on full and read-only disks, on a file system in memory and on an overlay. They need CAP_SYS_ADMIN.
@Suite(.serialized) struct PrivilegedDiskTests {
    /// Runs `body` with the mount point of a file system of `size` bytes in memory.
    private func withMemoryFileSystem(size: Int, _ body: (String) throws -> Void) throws {
        try withTemporaryDirectory { directory in
            let point = directory + "/disk"
            try Sys.makeDirectory(point)
            try Sys.mount("tmpfs", on: point, type: "tmpfs", options: "size=\(size)")
            defer { try? Sys.unmount(point, [.detach, .noFollow]) }
            try body(point)
        }
    }

    @Test func memoryIsRefused() throws {
        try withMemoryFileSystem(size: 1 << 20) { point in
            do {
                try withStore(point + "/store") { _ in }
                Issue.record("a store opened in memory")
            } catch let error as ContentStoreError {
                #expect(error.code == .unsuitableFileSystem)
                #expect(error.message.contains(point) && error.message.contains("ext4"))
            }
            try withStore(point + "/store", isScratch: true) { _ in }
        }
    }

    @Test func overlayIsRefused() throws {
        try withTemporaryDirectory { directory in
            for name in ["lower", "upper", "work", "merged"] { try Sys.makeDirectory("\(directory)/\(name)") }
            let point = directory + "/merged"
            try Sys.mount(
                "overlay", on: point, type: "overlay",
                options: "lowerdir=\(directory)/lower,upperdir=\(directory)/upper,workdir=\(directory)/work")
            defer { try? Sys.unmount(point, [.detach, .noFollow]) }
            do {
                try withStore(point + "/store") { _ in }
                Issue.record("a store opened on an overlay")
            } catch let error as ContentStoreError {
                #expect(error.code == .unsuitableFileSystem)
                #expect(error.message.contains("overlay"))
            }
        }
    }

    /// Fills the disk. Chunks that do not fit stay absent, present chunks stay right, and publishing works again once
    /// there is room.
    @Test func fullDisk() throws {
        let sample = try SampleLayer(seed: 80, files: 80, chunkLimit: 16_000)
        let all = 0..<sample.table.chunkCount
        try withMemoryFileSystem(size: 8 << 20) { point in
            try withStore(point + "/store", isScratch: true) { store in
                let layer = try store.install(sample.key, index: sample.index)
                let ballast = point + "/ballast"
                let room = try Sys.statfs(point).availableBytes
                try #require(room > 300_000)
                try Sys.writeFile(ballast, [UInt8](repeating: 1, count: Int(room) - 200_000))
                var refused = 0
                for chunk in all {
                    let result = code { try layer.publish([chunk], of: sample) }
                    if let result {
                        refused += 1
                        #expect(result == .noSpace)
                        #expect(!layer.isPresent(chunk))
                    }
                }
                #expect(refused > 0 && layer.presentCount == all.count - refused && layer.presentCount > 0)
                try layer.expectTrue(sample)
                #expect(
                    code {
                        let other = try SampleLayer(seed: 81, files: 900)
                        _ = try store.install(other.key, index: other.index)
                    } == .noSpace)
                #expect(try Sys.list(point + "/store/installing").isEmpty)
                try Sys.unlink(ballast)
                try layer.publish(all, of: sample)
                #expect(layer.isComplete)
                try layer.expectTrue(sample)
            }
        }
    }

    /// Checks that a store does not open on a read-only disk, and that the error says so.
    @Test func readOnlyDisk() throws {
        let sample = try SampleLayer(seed: 82)
        try withTemporaryDirectory { directory in
            let root = directory + "/store"
            try withStore(root) { store in
                let layer = try store.install(sample.key, index: sample.index)
                try layer.publish([1, 2], of: sample)
            }
            try Sys.mount(root, on: root, flags: .bind)
            defer { try? Sys.unmount(root, [.detach, .noFollow]) }
            try Sys.mount("none", on: root, flags: [.bind, .remount, .readOnly])
            do {
                try withStore(root) { _ in }
                Issue.record("a store opened on a read-only disk")
            } catch let error as ContentStoreError {
                #expect(error.code == .readOnly)
                #expect(error.message.contains(root))
            }
        }
    }

    /// Makes the kernel fail to write pages back. Every chunk that may be lost is dropped, and durable chunks stay.
    ///
    /// The disk is an ext4 without a journal, on a loop device over a sparse file on a full file system. Writes go to
    /// the page cache and succeed. Their write-back fails with EIO.
    @Test func lostWriteBack() throws {
        let sample = try SampleLayer(seed: 83, files: 60, chunkLimit: 30_000)
        try withMemoryFileSystem(size: 3 << 20) { point in
            let image = point + "/image"
            do {
                let file = try Sys.open(image, [.readWrite, .create])
                try Sys.ftruncate(file.raw, size: 16 << 20)
            }
            try run("mkfs.ext4", "-q", "-O", "^has_journal", "-E", "nodiscard,lazy_itable_init=1", image)
            let disk = point + "/disk"
            try Sys.makeDirectory(disk)
            try run("mount", "-o", "loop,errors=continue", image, disk)
            defer { try? Sys.unmount(disk, [.detach, .noFollow]) }
            try withStore(disk + "/store") { store in
                let layer = try store.install(sample.key, index: sample.index)
                try layer.publish([0, 1, 2], of: sample)
                try layer.makeDurable()
                let room = try Sys.statfs(point).availableBytes
                try Sys.writeFile(point + "/ballast", [UInt8](repeating: 1, count: max(0, Int(room) - 40_000)))
                try layer.publish(3..<60, of: sample)
                #expect(layer.presentCount == 60)
                #expect(code { try layer.makeDurable() } != nil)
                #expect(layer.presentSet == [0, 1, 2])
                try layer.expectTrue(sample)
                // With room again, every chunk can be published again.
                try Sys.unlink(point + "/ballast")
                try layer.publish(0..<60, of: sample)
                try layer.makeDurable()
                #expect(layer.presentCount == 60)
                try layer.expectTrue(sample)
            }
            try withStore(disk + "/store", boot: boots[1]) { store in
                let layer = try #require(try store.layer(sample.key))
                #expect(layer.presentCount == 60)
                try layer.expectTrue(sample)
            }
        }
    }
}
