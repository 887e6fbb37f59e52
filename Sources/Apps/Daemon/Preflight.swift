import Base
import Glibc
import LazyFileSystem
import Linux
import SystemPackage

/// The checks before the daemon starts. Each failure throws an error with advice.
enum Preflight {
    /// Checks privileges and FUSE.
    ///
    /// - Parameter device: the path of `/dev/fuse`, or of a substitute in tests.
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
            throw StartupError(.noFUSE, "cannot open \(device)", cause: error)
        }
    }

    /// Creates the directory `path` and its missing parents. The message of an error says that the directory is for
    /// `purpose`.
    static func makeDirectory(_ path: String, for purpose: String) throws(StartupError) {
        do {
            try Sys.makeDirectories(path)
        } catch {
            throw StartupError(.unusableDirectory, "cannot create \(path), \(purpose)", cause: error)
        }
    }
}

extension StoreCapacity {
    /// Reads the capacity of the file system that contains `path`. Returns `nil` on failure.
    init?(of path: String) {
        guard let status = try? Sys.statfs(path) else { return nil }
        self.init(
            blockSize: UInt32(clamping: status.blockSize), blocks: status.blocks, freeBlocks: status.freeBlocks,
            availableBlocks: status.availableBlocks, files: status.files, freeFiles: status.freeFiles)
    }
}
