public import Base
public import SystemPackage

/// A failure of a file system operation, or of adding a chain.
public typealias LazyFileSystemError = Failure<LazyFileSystemErrorCode>

/// The kinds of ``LazyFileSystemError``.
public enum LazyFileSystemErrorCode: Hashable, Sendable {
    /// The node's chain, or the node's file in `content`, has been removed.
    case stale
    case notDirectory
    /// The node has no bytes to read, because it is a directory, a symbolic link or a special file.
    case isDirectory
    case notSymlink
    /// The buffer is too small for the result.
    case tooSmall
    /// The tree is inconsistent. Every tree is checked when it is built, so the disk or a bug has damaged this tree
    /// since.
    case corrupt
    /// The content is unreadable on disk. Fetching it again did not help, or would not help.
    case unreadable
    /// The content could not be fetched.
    case unavailable
    /// The slot of a new chain is 0, is too high, or belongs to another chain, or the chain is already mounted in
    /// another slot.
    case badSlot
    /// The tree's devices do not match its layers.
    case layersDoNotMatch
}

extension LazyFileSystemError {
    /// The errno that the kernel receives for this error. No other code maps our errors to errno.
    public var errno: Errno {
        switch code {
        case .stale: .staleNFSFileHandle
        case .notDirectory: .notDirectory
        case .isDirectory: .isDirectory
        case .notSymlink, .badSlot, .layersDoNotMatch: .invalidArgument
        case .tooSmall: .outOfRange
        case .corrupt, .unreadable, .unavailable: .ioError
        }
    }

    static var stale: Self { Self(.stale, "the chain has been removed") }
    static var notDirectory: Self { Self(.notDirectory, "not a directory") }
    static var isDirectory: Self { Self(.isDirectory, "a directory or a special file has no content") }
    static var notSymlink: Self { Self(.notSymlink, "not a symbolic link") }
    static var tooSmall: Self { Self(.tooSmall, "the buffer is too small") }
}
