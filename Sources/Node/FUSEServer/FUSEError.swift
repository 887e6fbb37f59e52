public import Base

/// A failure to mount or serve the file system.
public struct FUSEError: ModuleError {
    public enum Code: Hashable, Sendable {
        /// /dev/fuse is missing, or the kernel lacks FUSE.
        case noDevice
        /// The process lacks the permission to open /dev/fuse or to mount.
        case notPermitted
        /// The mount point does not exist, is not a directory, or is not accessible.
        case badMountPoint
        /// The mount point's directory is not empty, or a mount covers it.
        case mountPointInUse
        /// The INIT exchange between the kernel and libfuse failed.
        case handshakeFailed
        /// Another system call failed.
        case system
        /// ``FUSEServer/start()`` was called a second time.
        case alreadyStarted
    }

    public let code: Code
    public let message: String
    public let cause: (any Error)?

    public init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }
}
