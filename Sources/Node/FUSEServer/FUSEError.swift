public import Base

/// Why the file system could not be mounted.
public struct FUSEError: ModuleError {
    public enum Code: Hashable, Sendable {
        /// There is no /dev/fuse, or the kernel has no FUSE.
        case noDevice
        /// The process may not open /dev/fuse or may not mount.
        case notPermitted
        /// The mount point does not exist, is not a directory, or cannot be reached.
        case badMountPoint
        /// Something is in the directory of the mount point, or mounted there.
        case mountPointInUse
        /// The kernel and libfuse did not come to terms.
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
