import Base
import Linux
import SystemPackage

/// A check of whether a directory can hold the store.
enum FileSystemCheck {
    /// Throws `.unsuitableFileSystem`, with advice, if `root` cannot hold the store.
    ///
    /// The check rejects unsuitable kinds of file systems by their magic number. On any other kind, it writes a test
    /// file with holes, and fails if the holes take disk space. If holes took disk space, each layer would occupy its
    /// full size before the node has fetched any content.
    ///
    /// - Parameter isScratch: true to accept a file system in memory or an overlay; see
    ///   ``ContentStore/Options/isScratch``.
    static func run(_ root: String, isScratch: Bool) throws(ContentStoreError) {
        let status = try ContentStoreError.wrapping("cannot look at \(root)") { () throws(Errno) in
            try Sys.statfs(root)
        }
        let advice = "choose a directory on ext4, xfs or btrfs"
        switch status.kind {
        case .overlay:
            guard isScratch else {
                throw ContentStoreError(
                    .unsuitableFileSystem,
                    "\(root) lies on an overlay file system (inside a container?), on which no snapshot can be mounted: "
                        + advice)
            }
        case .tmpfs, .ramfs:
            guard isScratch else {
                throw ContentStoreError(
                    .unsuitableFileSystem,
                    "\(root) lies in memory (tmpfs), where images would take it up and be lost at a restart: " + advice)
            }
        case .fuse, .nfs, .erofs:
            throw ContentStoreError(
                .unsuitableFileSystem, "\(root) lies on a file system that is not a local disk's: " + advice)
        default:
            break
        }
        let sparse = try ContentStoreError.wrapping("cannot write to \(root)") { () throws(Errno) in
            try keepsHoles(root + "/installing/.probe")
        }
        guard sparse else {
            throw ContentStoreError(
                .unsuitableFileSystem, "the file system of \(root) does not keep holes in files: " + advice)
        }
    }

    /// Writes a file of 4 MiB with one block of data in its middle. Returns true if the file takes less than 2 MiB on
    /// the disk.
    private static func keepsHoles(_ path: String) throws(Errno) -> Bool {
        let file = try Sys.open(path, [.readWrite, .create, .truncate, .noFollow])
        let outcome: Result<Bool, Errno>
        do throws(Errno) {
            try Sys.ftruncate(file.raw, size: 4 << 20)
            try Sys.pwriteAll(file.raw, [UInt8](repeating: 1, count: 4096), at: 2 << 20)
            try Sys.fdatasync(file.raw)
            outcome = .success(try Sys.fstat(file.raw).allocatedBytes < 2 << 20)
        } catch {
            outcome = .failure(error)
        }
        try Sys.unlink(path)
        return try outcome.get()
    }
}
