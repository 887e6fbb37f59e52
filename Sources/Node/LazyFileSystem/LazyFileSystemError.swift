public import Base
public import SystemPackage

/// A failure of a file system operation, or of adding a chain.
public struct LazyFileSystemError: ModuleError {
    public enum Code: Hashable, Sendable {
        /// The node's chain has been removed.
        case stale
        case notDirectory
        case isDirectory
        case notSymlink
        case noSuchAttribute
        /// The buffer is too small for the result.
        case tooSmall
        /// The tree is inconsistent. It was checked when it was built, so the disk or a bug has damaged it.
        case corrupt
        /// The content is unreadable on disk, even after it was fetched again.
        case unreadable
        /// The content could not be fetched.
        case unavailable
        /// The read was cancelled before its content arrived.
        case interrupted
        /// The slot of a new chain is 0, too high, or belongs to another chain.
        case badSlot
        /// The tree's devices do not match its layers.
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

    /// The errno for the kernel: the one map from our errors to errno.
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
