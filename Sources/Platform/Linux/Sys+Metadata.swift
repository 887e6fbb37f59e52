import CLinux
import Glibc
public import SystemPackage

extension Sys {
    /// Returns the status of a file (stat(2)). Follows a symbolic link.
    public static func stat(
        _ path: some PathName, at directory: Int32 = currentDirectory
    ) throws(Errno) -> FileStatus {
        var status = Glibc.stat()
        _ = try call(path) { fstatat(directory, $0, &status, 0) }
        return FileStatus(status)
    }

    /// Returns the status of a file (lstat(2)). Does not follow a symbolic link.
    public static func lstat(
        _ path: some PathName, at directory: Int32 = currentDirectory
    ) throws(Errno) -> FileStatus {
        var status = Glibc.stat()
        _ = try call(path) { fstatat(directory, $0, &status, AT_SYMLINK_NOFOLLOW) }
        return FileStatus(status)
    }

    /// Returns the status of an open file (fstat(2)).
    public static func fstat(_ descriptor: Int32) throws(Errno) -> FileStatus {
        var status = Glibc.stat()
        _ = try call { Glibc.fstat(descriptor, &status) }
        return FileStatus(status)
    }

    /// Returns the file's creation time in nanoseconds since 1970. Returns 0 if the file system does not record this
    /// time, the kernel lacks statx(2), or a seccomp filter forbids statx(2).
    ///
    /// A file's creation time never changes. It distinguishes the file from an earlier file with the same inode number.
    public static func birthTime(_ descriptor: Int32) throws(Errno) -> UInt64 {
        UInt64(try call { rv_birth_time(descriptor) })
    }

    /// Returns true if `path` exists, even as a dangling symbolic link. Returns false after the errors `ENOENT` and
    /// `ENOTDIR`. Throws any other error.
    public static func exists(_ path: some PathName, at directory: Int32 = currentDirectory) throws(Errno) -> Bool {
        do {
            _ = try lstat(path, at: directory)
            return true
        } catch .noSuchFileOrDirectory {
            return false
        } catch .notDirectory {
            return false
        }
    }

    /// Returns the status of the file system that contains `path` (statfs(2)).
    public static func statfs(_ path: some PathName) throws(Errno) -> FileSystemStatus {
        var status = CLinux.statfs()
        _ = try call(path) { rv_statfs($0, &status) }
        return FileSystemStatus(status)
    }

    /// Changes the owner of a file (fchownat(2)). Does not follow a symbolic link.
    public static func chown(
        _ path: some PathName, uid: UInt32, gid: UInt32, at directory: Int32 = currentDirectory
    ) throws(Errno) {
        _ = try call(path) { fchownat(directory, $0, uid, gid, AT_SYMLINK_NOFOLLOW) }
    }

    /// Changes the mode of a file (fchmodat(2)). Follows a symbolic link.
    public static func chmod(
        _ path: some PathName, _ mode: UInt32, at directory: Int32 = currentDirectory
    ) throws(Errno) {
        _ = try call(path) { fchmodat(directory, $0, mode, 0) }
    }

    /// Sets the modification time of a file (utimensat(2)). Does not follow a symbolic link, and leaves the access time
    /// unchanged.
    public static func setModificationTime(
        _ path: some PathName, seconds: Int64, nanoseconds: UInt32, at directory: Int32 = currentDirectory
    ) throws(Errno) {
        // UTIME_OMIT is ((1 << 30) - 2) (linux/stat.h).
        let times = [
            timespec(tv_sec: 0, tv_nsec: (1 << 30) - 2),
            timespec(tv_sec: Int(seconds), tv_nsec: Int(nanoseconds)),
        ]
        _ = try call(path) { utimensat(directory, $0, times, AT_SYMLINK_NOFOLLOW) }
    }

    /// Creates a device node, FIFO, socket or empty file (mknodat(2)), depending on the type bits of `mode`.
    public static func makeNode(
        _ path: some PathName, mode: UInt32, major: UInt32 = 0, minor: UInt32 = 0,
        at directory: Int32 = currentDirectory
    ) throws(Errno) {
        _ = try call(path) { mknodat(directory, $0, mode, dev_t(rv_makedev(major, minor))) }
    }
}
