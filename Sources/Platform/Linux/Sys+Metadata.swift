import CLinux
import Glibc
public import SystemPackage

extension Sys {
    /// stat(2): follows a symbolic link.
    public static func stat(
        _ path: some PathName, at directory: Int32 = currentDirectory
    ) throws(Errno) -> FileStatus {
        var status = Glibc.stat()
        _ = try call(path) { fstatat(directory, $0, &status, 0) }
        return FileStatus(status)
    }

    /// lstat(2): the link itself.
    public static func lstat(
        _ path: some PathName, at directory: Int32 = currentDirectory
    ) throws(Errno) -> FileStatus {
        var status = Glibc.stat()
        _ = try call(path) { fstatat(directory, $0, &status, AT_SYMLINK_NOFOLLOW) }
        return FileStatus(status)
    }

    /// fstat(2).
    public static func fstat(_ descriptor: Int32) throws(Errno) -> FileStatus {
        var status = Glibc.stat()
        _ = try call { Glibc.fstat(descriptor, &status) }
        return FileStatus(status)
    }

    /// When the file was made, in nanoseconds since 1970: never changes, and with the inode number tells a file from
    /// the one that had its number before. 0 where the file system does not keep it.
    public static func birthTime(_ descriptor: Int32) throws(Errno) -> UInt64 {
        UInt64(try call { rv_birth_time(descriptor) })
    }

    /// Whether there is something at `path`, a dangling link included. Anything but `ENOENT` and `ENOTDIR` is thrown.
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

    /// statfs(2) of the file system that `path` lies on.
    public static func statfs(_ path: some PathName) throws(Errno) -> FileSystemStatus {
        var status = CLinux.statfs()
        _ = try call(path) { rv_statfs($0, &status) }
        return FileSystemStatus(status)
    }

    /// fchownat(2), of the link itself when it is one.
    public static func chown(
        _ path: some PathName, uid: UInt32, gid: UInt32, at directory: Int32 = currentDirectory
    ) throws(Errno) {
        _ = try call(path) { fchownat(directory, $0, uid, gid, AT_SYMLINK_NOFOLLOW) }
    }

    /// fchmodat(2): follows a symbolic link.
    public static func chmod(
        _ path: some PathName, _ mode: UInt32, at directory: Int32 = currentDirectory
    ) throws(Errno) {
        _ = try call(path) { fchmodat(directory, $0, mode, 0) }
    }

    /// utimensat(2) of the modification time, of the link itself when it is one; the access time stays.
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

    /// mknodat(2): a device node, fifo, socket or empty file, as the type bits of `mode` say.
    public static func makeNode(
        _ path: some PathName, mode: UInt32, major: UInt32 = 0, minor: UInt32 = 0,
        at directory: Int32 = currentDirectory
    ) throws(Errno) {
        _ = try call(path) { mknodat(directory, $0, mode, dev_t(rv_makedev(major, minor))) }
    }
}
