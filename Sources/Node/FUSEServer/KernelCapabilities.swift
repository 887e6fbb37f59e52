import CFUSE

/// The capabilities that we request in the INIT exchange (libfuse's `fuse_common.h` describes each).
enum KernelCapabilities {
    // libfuse's constants are Int32. We do not request passthrough: it would take the stacking level that a container's
    // overlay needs.
    private static let wanted: UInt32 =
        // Concurrent reads of one file. Not FUSE_CAP_ASYNC_DIO: with it, a waiting direct read cannot be killed
        // (fuse_direct_IO of Linux 6.18 waits for its completion uninterruptibly, and sends no interrupt).
        UInt32(FUSE_CAP_ASYNC_READ)
        // Concurrent lookups and listings of one directory.
        | UInt32(FUSE_CAP_PARALLEL_DIROPS)
        // Listings include attributes when the kernel sees that they are used.
        | UInt32(FUSE_CAP_READDIRPLUS) | UInt32(FUSE_CAP_READDIRPLUS_AUTO)
        // The kernel opens and closes files without us.
        | UInt32(FUSE_CAP_NO_OPEN_SUPPORT) | UInt32(FUSE_CAP_NO_OPENDIR_SUPPORT)
        | UInt32(FUSE_CAP_CACHE_SYMLINKS)
        // The kernel drops cached pages only on our request, because content never changes.
        | UInt32(FUSE_CAP_EXPLICIT_INVAL_DATA)
        // The kernel sends lookups of `.` and `..` when somebody opens a file handle, as overlayfs does.
        | UInt32(FUSE_CAP_EXPORT_SUPPORT)
        // Flags of directories, for FS_IOC_GETFLAGS.
        | UInt32(FUSE_CAP_IOCTL_DIR)
        // The kernel enforces the image's access control lists.
        | UInt32(FUSE_CAP_POSIX_ACL)

    /// The maximum number of asynchronous requests, such as read-ahead, that the kernel may have in flight. Each of
    /// them may wait for the network. With a low limit, later requests would also wait for earlier ones.
    private static let background: UInt32 = 4096

    static func negotiate(_ connection: inout fuse_conn_info) {
        connection.want = wanted & connection.capable
        // libfuse 3.14 computes the kernel's limit of pages per request from this value.
        connection.max_write = UInt32(FUSEOptions.maximumRead)
        connection.max_background = background
        connection.congestion_threshold = background / 4 * 3
    }

    /// Returns true if the kernel sends no more OPEN requests once we have answered one with ENOSYS.
    static func hasZeroMessageOpen(_ connection: fuse_conn_info) -> Bool {
        connection.capable & UInt32(FUSE_CAP_NO_OPEN_SUPPORT) != 0
    }

    static func hasZeroMessageOpendir(_ connection: fuse_conn_info) -> Bool {
        connection.capable & UInt32(FUSE_CAP_NO_OPENDIR_SUPPORT) != 0
    }
}
