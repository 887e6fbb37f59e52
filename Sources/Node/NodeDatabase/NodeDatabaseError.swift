public import Base

/// An error of the node's state database.
public typealias NodeDatabaseError = Failure<NodeDatabaseErrorCode>

/// The kinds of ``NodeDatabaseError``.
public enum NodeDatabaseErrorCode: Hashable, Sendable {
    /// A malformed key, label or path, or a parent that the snapshot cannot have.
    case invalidArgument
    case notFound
    case alreadyExists
    /// The snapshot's state forbids the change.
    case failedPrecondition
    /// Another connection has locked the database.
    case unavailable
    /// The database or its directory is corrupt, unreadable or full, or was written by another program or a newer
    /// version.
    case storage
    /// Another process holds a file lock, for example that of the state directory.
    case inUse
}
