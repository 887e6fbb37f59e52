import Glibc
import LazyFileSystem
import Linux
import SystemPackage

/// What must be so before anything is started: each thing that is not gives an error that says what to do.
enum Preflight {
    /// - Parameter device: /dev/fuse, elsewhere in tests.
    static func check(device: String = "/dev/fuse") throws(StartupError) {
        guard geteuid() == 0 else {
            throw StartupError(
                .notPermitted, "rivuletd mounts file systems and must run as root (it runs as uid \(geteuid()))")
        }
        do {
            _ = try Sys.open(device, .readWrite)
        } catch .noSuchFileOrDirectory {
            throw StartupError(.noFUSE, "\(device) is missing: load the kernel module with 'modprobe fuse'")
        } catch {
            throw StartupError(.noFUSE, "\(device) cannot be opened", cause: error)
        }
    }

    /// Makes the directory `path` and those above it.
    static func makeDirectory(_ path: String, for purpose: String) throws(StartupError) {
        do {
            try Sys.makeDirectories(path)
        } catch {
            throw StartupError(.unusableDirectory, "cannot make \(path), \(purpose)", cause: error)
        }
    }
}

extension StoreCapacity {
    /// What the file system that holds `path` has; `nil` when it does not answer.
    init?(of path: String) {
        guard let status = try? Sys.statfs(path) else { return nil }
        self.init(
            blockSize: UInt32(clamping: status.blockSize), blocks: status.blocks, freeBlocks: status.freeBlocks,
            availableBlocks: status.availableBlocks, files: status.files, freeFiles: status.freeFiles)
    }
}
