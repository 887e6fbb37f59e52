import Base
import Glibc
import Linux
import SystemPackage

/// The functions that open /dev/fuse and mount the file system with mount(2). They do not run the helper program
/// fusermount, so they see the error of each step.
enum FUSEMount {
    /// Opens /dev/fuse, mounts the file system on `path`, and returns the file descriptor of /dev/fuse.
    static func mount(on path: String, options: FUSEOptions) throws(FUSEError) -> OwnedDescriptor {
        try clear(path)
        let device: OwnedDescriptor
        do {
            device = try Sys.open("/dev/fuse", .readWrite)
        } catch Errno.permissionDenied, Errno.notPermitted {
            throw FUSEError(.notPermitted, "cannot open /dev/fuse: run Rivulet as root")
        } catch {
            throw FUSEError(.noDevice, "cannot open /dev/fuse: is the kernel module fuse loaded?", cause: error)
        }
        // The mount is read-only, like the trees. It is neither nosuid nor nodev: a bind mount of a chain, as for a
        // container without a writable layer, would inherit these flags. The root's mode excludes all other users.
        let data = """
            fd=\(device.raw),rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other,\
            max_read=\(FUSEOptions.maximumRead)
            """
        do {
            try Sys.mount(options.sourceName, on: path, type: "fuse.rivulet", flags: .readOnly, options: data)
        } catch Errno.notPermitted {
            throw FUSEError(.notPermitted, "mounting on \(path) needs CAP_SYS_ADMIN")
        } catch Errno(rawValue: ENODEV) {
            throw FUSEError(.noDevice, "the kernel does not know the file system fuse: is its module loaded?")
        } catch {
            throw FUSEError(.system, "mounting on \(path) failed", cause: error)
        }
        return device
    }

    /// Removes mounts on `path` whose servers died. Then verifies that `path` is an empty directory.
    private static func clear(_ path: String) throws(FUSEError) {
        // A server that died repeatedly may have left several mounts, one on top of another.
        for _ in 0..<64 {
            do {
                // Only statfs always reaches the server. The kernel may answer the two calls after it from its caches,
                // even if the server is dead.
                _ = try Sys.statfs(path)
                let status = try Sys.stat(path)
                guard status.kind == .directory else {
                    throw FUSEError(.badMountPoint, "\(path) is not a directory")
                }
                let entries = try Sys.list(path)
                guard entries.isEmpty else {
                    throw FUSEError(
                        .mountPointInUse,
                        "\(path) is not empty, or something is mounted on it: see findmnt \(path), and unmount or empty it"
                    )
                }
                return
            } catch let error as FUSEError {
                throw error
            } catch Errno.socketNotConnected {
                do {
                    try Sys.unmount(path, .detach)
                } catch {
                    throw FUSEError(.mountPointInUse, "cannot remove the dead mount on \(path)", cause: error)
                }
            } catch {
                throw FUSEError(.badMountPoint, "cannot use the mount point \(path)", cause: error)
            }
        }
        throw FUSEError(.mountPointInUse, "\(path) has more than 64 dead mounts on it")
    }
}
