public import Base
public import SystemPackage

/// Why an operation on the file system failed, or a chain could not be added.
public struct LazyFileSystemError: ModuleError {
    public enum Code: Hashable, Sendable {
        /// The node's chain has been removed.
        case stale
        case notDirectory
        case isDirectory
        case notSymlink
        case noSuchAttribute
        /// The buffer is too small for the answer.
        case tooSmall
        /// The tree contradicts itself: it was checked when it was made, so the disk or a bug changed it.
        case corrupt
        /// The content cannot be read from the disk, and fetching it again did not help.
        case unreadable
        /// The content cannot be fetched.
        case unavailable
        /// The read was given up before its content arrived.
        case interrupted
        /// The slot of a new chain is 0, too high, or another chain's.
        case badSlot
        /// The tree's devices are not the layers that were given with it.
        case layersDoNotMatch
    }

    public let code: Code
    public let message: String
    public let cause: (any Error)?

    public init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    /// What the kernel is told: the one map from our errors to errno.
    public var errno: Errno {
        switch code {
        case .stale: .staleNFSFileHandle
        case .notDirectory: .notDirectory
        case .isDirectory: .isDirectory
        case .notSymlink, .badSlot, .layersDoNotMatch: .invalidArgument
        case .noSuchAttribute: .noData
        case .tooSmall: .outOfRange
        case .interrupted: .interrupted
        case .corrupt, .unreadable, .unavailable: .ioError
        }
    }

    static let stale = LazyFileSystemError(.stale, "the chain has been removed")
    static let notDirectory = LazyFileSystemError(.notDirectory, "not a directory")
    static let isDirectory = LazyFileSystemError(.isDirectory, "a directory or a special file has no content")
    static let notSymlink = LazyFileSystemError(.notSymlink, "not a symbolic link")
    static let noSuchAttribute = LazyFileSystemError(.noSuchAttribute, "no such extended attribute")
    static let tooSmall = LazyFileSystemError(.tooSmall, "the buffer is too small")
}
