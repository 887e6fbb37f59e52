import CFUSE

/// What is asked of the kernel in the INIT exchange (libfuse's `fuse_common.h` describes each).
enum KernelCapabilities {
    // libfuse's constants are Int32; passthrough is not among what we ask for: it would take the stacking level that
    // a container's overlay needs.
    private static let wanted: UInt32 =
        // Several reads of one file side by side. Not FUSE_CAP_ASYNC_DIO: with it a direct read waits without being
        // killable (fuse_direct_IO of Linux 6.18 waits for its completion uninterruptibly, and sends no interrupt).
        UInt32(FUSE_CAP_ASYNC_READ)
        // Lookups and listings of one directory side by side.
        | UInt32(FUSE_CAP_PARALLEL_DIROPS)
        // Listings bring attributes when the kernel sees that they are used.
        | UInt32(FUSE_CAP_READDIRPLUS) | UInt32(FUSE_CAP_READDIRPLUS_AUTO)
        // Files are opened and closed without us.
        | UInt32(FUSE_CAP_NO_OPEN_SUPPORT) | UInt32(FUSE_CAP_NO_OPENDIR_SUPPORT)
        | UInt32(FUSE_CAP_CACHE_SYMLINKS)
        // Cached pages go only when we say so: nothing ever changes.
        | UInt32(FUSE_CAP_EXPLICIT_INVAL_DATA)
        // `.` and `..` are looked up here when a file handle is opened: overlayfs does.
        | UInt32(FUSE_CAP_EXPORT_SUPPORT)
        // The access control lists in the image count.
        | UInt32(FUSE_CAP_POSIX_ACL)

    /// Reads ahead that the kernel may have waiting: each may wait for the network, and must not hold up another.
    private static let background: UInt32 = 4096

    static func negotiate(_ connection: inout fuse_conn_info) {
        connection.want = wanted & connection.capable
        // libfuse 3.14 tells the kernel the most pages of a request from this one.
        connection.max_write = UInt32(FUSEOptions.maximumRead)
        connection.max_background = background
        connection.congestion_threshold = background / 4 * 3
    }

    /// Whether an open may be answered once and for all with ENOSYS.
    static func hasZeroMessageOpen(_ connection: fuse_conn_info) -> Bool {
        connection.capable & UInt32(FUSE_CAP_NO_OPEN_SUPPORT) != 0
    }

    static func hasZeroMessageOpendir(_ connection: fuse_conn_info) -> Bool {
        connection.capable & UInt32(FUSE_CAP_NO_OPENDIR_SUPPORT) != 0
    }
}
