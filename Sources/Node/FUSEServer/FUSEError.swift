public import Base

/// A failure to mount or serve the file system.
public typealias FUSEError = Failure<FUSEErrorCode>

/// The kinds of ``FUSEError``.
public enum FUSEErrorCode: Hashable, Sendable {
    /// /dev/fuse is missing, or the kernel lacks FUSE.
    case noDevice
    /// The process lacks the permission to open /dev/fuse or to mount.
    case notPermitted
    /// The mount point does not exist, is not a directory, or is not accessible.
    case badMountPoint
    /// The mount point has entries, for example those of another mount, or has a dead mount on it that cannot be
    /// removed.
    case mountPointInUse
    /// The INIT exchange between the kernel and libfuse failed.
    case handshakeFailed
    /// Another system call failed.
    case system
    /// ``FUSEServer/start()`` was called a second time, or after ``FUSEServer/stop()``.
    case alreadyStarted
}
