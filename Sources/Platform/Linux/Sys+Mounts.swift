import CLinux
public import SystemPackage

/// Flags of mount(2).
public struct MountFlags: OptionSet, Sendable {
    public let rawValue: UInt

    public init(rawValue: UInt) {
        self.rawValue = rawValue
    }

    // The values of linux/mount.h; glibc declares them as an enum that is awkward in Swift.
    public static let readOnly = MountFlags(rawValue: 1)
    public static let remount = MountFlags(rawValue: 32)
    public static let bind = MountFlags(rawValue: 4096)
    public static let recursive = MountFlags(rawValue: 16384)
}

/// Flags of umount2(2).
public struct UnmountFlags: OptionSet, Sendable {
    public let rawValue: Int32

    public init(rawValue: Int32) {
        self.rawValue = rawValue
    }

    /// `MNT_FORCE`: unmounts by force. If the file system is FUSE, the kernel aborts the connection, and pending
    /// requests fail.
    public static let force = UnmountFlags(rawValue: 1)
    /// `MNT_DETACH`: detaches the file system from the mount point at once. The kernel frees the file system after its
    /// last use.
    public static let detach = UnmountFlags(rawValue: 2)
    /// `UMOUNT_NOFOLLOW`: does not follow a symbolic link.
    public static let noFollow = UnmountFlags(rawValue: 8)
}

extension Sys {
    /// Mounts a file system (mount(2)). Needs `CAP_SYS_ADMIN`.
    public static func mount(
        _ source: some PathName, on target: some PathName, type: String = "", flags: MountFlags = [],
        options: String = ""
    ) throws(Errno) {
        guard !type.utf8.contains(0), !options.utf8.contains(0) else { throw .invalidArgument }
        try call(source, target) { source, target in
            type.withCString { type in
                options.withCString { options in
                    CLinux.mount(source, target, type, flags.rawValue, options)
                }
            }
        }
    }

    /// Unmounts a file system (umount2(2)).
    public static func unmount(_ target: some PathName, _ flags: UnmountFlags = .noFollow) throws(Errno) {
        _ = try call(target) { umount2($0, flags.rawValue) }
    }
}
