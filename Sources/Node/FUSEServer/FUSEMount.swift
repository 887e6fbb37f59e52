import Glibc
import Linux
import SystemPackage

/// Mounting and unmounting: mount(2) by ourselves, with the descriptor in our hands, so that every failure has its own
/// name and no helper program is run.
enum FUSEMount {
    /// Opens /dev/fuse and mounts it on `path`.
    static func mount(on path: String, options: FUSEOptions) throws(FUSEError) -> OwnedDescriptor {
        try clear(path)
        let device: OwnedDescriptor
        do {
            device = try Sys.open("/dev/fuse", .readWrite)
        } catch Errno.permissionDenied, Errno.notPermitted {
            throw FUSEError(.notPermitted, "/dev/fuse may not be opened: Rivulet needs to be root")
        } catch {
            throw FUSEError(.noDevice, "/dev/fuse cannot be opened: is the kernel module fuse loaded?", cause: error)
        }
        // Read-only, as the trees are. Not nosuid and not nodev: a bind mount of a chain (a container without a layer of
        // its own) would inherit them, and the root's mode keeps everybody else out.
        let data = """
            fd=\(device.raw),rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other,\
            max_read=\(FUSEOptions.maximumRead)
            """
        do {
            try Sys.mount(options.sourceName, on: path, type: "fuse.rivulet", flags: .readOnly, options: data)
        } catch Errno.notPermitted {
            throw FUSEError(.notPermitted, "mounting on \(path) needs CAP_SYS_ADMIN")
        } catch Errno(rawValue: ENODEV) {
            throw FUSEError(.noDevice, "the kernel has no file system fuse: is its module loaded?")
        } catch {
            throw FUSEError(.system, "mounting on \(path) failed", cause: error)
        }
        return device
    }

    /// Makes sure that `path` is an empty directory that nothing is mounted on. A mount whose server died is taken away.
    private static func clear(_ path: String) throws(FUSEError) {
        // A server that died again and again may have left several, one on the other.
        for _ in 0..<64 {
            do {
                let status = try Sys.stat(path)
                guard status.kind == .directory else {
                    throw FUSEError(.badMountPoint, "\(path) is not a directory")
                }
                let entries = try Sys.list(path)
                guard entries.isEmpty else {
                    throw FUSEError(.mountPointInUse, "\(path) is not empty, or something is mounted on it")
                }
                return
            } catch let error as FUSEError {
                throw error
            } catch Errno.socketNotConnected {
                do {
                    try Sys.unmount(path, .detach)
                } catch {
                    throw FUSEError(.mountPointInUse, "the dead mount on \(path) cannot be removed", cause: error)
                }
            } catch {
                throw FUSEError(.badMountPoint, "the mount point \(path) cannot be used", cause: error)
            }
        }
        throw FUSEError(.mountPointInUse, "\(path) has more than 64 dead mounts on it")
    }
}
