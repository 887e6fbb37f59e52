import Glibc
import Linux
public import SystemPackage

/// The kernel's side of a mounted connection, as the control file system (fusectl) shows it.
public enum FUSEConnection {
    private static let usualPlace = "/sys/fs/fuse/connections"

    /// Ends the connection of the mount whose `st_dev` is `device`: everybody who waits for it gets ECONNABORTED, and the
    /// server's reads end. Works when the mount is in no directory any more, and when its server hangs.
    ///
    /// Mounts the control file system in a directory of its own for a moment when it is not in its usual place.
    /// - Throws: `ENOENT` when there is no such connection.
    public static func abort(device: UInt64) throws(Errno) {
        // Connections are named by the minor number: FUSE mounts have no major one.
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
