import Glibc
import Linux
public import SystemPackage

/// The kernel's controls of a FUSE connection, in the control file system (fusectl).
public enum FUSEConnection {
    private static let usualPlace = "/sys/fs/fuse/connections"

    /// Aborts the connection of the mount whose `st_dev` is `device`. All waiting processes get ECONNABORTED, and the
    /// server's reads from /dev/fuse fail. This works even if the mount is already detached from every directory, or if
    /// its server hangs.
    ///
    /// If the abort through `/sys/fs/fuse/connections` fails, this function mounts fusectl on a temporary directory and
    /// tries again there. Then it unmounts fusectl.
    ///
    /// - Throws: `ENOENT` if there is no such connection; other errors if fusectl cannot be mounted or written.
    public static func abort(device: UInt64) throws(Errno) {
        // The kernel names a connection by the minor device number of its mount. The major number of FUSE mounts is 0.
        let minor = (device & 0xff) | ((device >> 12) & 0xfff00)
        do {
            try write(directory: usualPlace, minor)
        } catch {
            let directory = try Sys.makeTemporaryDirectory(prefix: "rivulet-fusectl-")
            defer { try? Sys.removeDirectory(directory) }
            try Sys.mount("fusectl", on: directory, type: "fusectl")
            defer { try? Sys.unmount(directory, .detach) }
            try write(directory: directory, minor)
        }
    }

    private static func write(directory: String, _ minor: UInt64) throws(Errno) {
        let file = try Sys.open("\(directory)/\(minor)/abort", .writeOnly)
        var one: UInt8 = UInt8(ascii: "1")
        let failure: Errno? = withUnsafeBytes(of: &one) { bytes in
            do throws(Errno) {
                try Sys.writeAll(file.raw, bytes)
                return nil
            } catch {
                return error
            }
        }
        if let failure { throw failure }
    }
}
