public import Base
import GRDB

/// An error of the node's state database.
public struct NodeDatabaseError: ModuleError {
    public enum Code: Hashable, Sendable {
        /// A malformed key, label or path, or a parent that is not committed.
        case invalidArgument
        case notFound
        case alreadyExists
        /// The snapshot's state forbids the change.
        case failedPrecondition
        /// The database is locked by another connection.
        case unavailable
        /// The database or its directory is corrupt, foreign, unreadable or full.
        case storage
        /// Another process holds the state directory.
        case inUse
    }

    public let code: Code
    public let message: String
    public let cause: (any Error)?

    public init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    /// Returns `error` if it is one of this module, else a ``Code/storage`` error around it.
    static func wrapping(_ error: any Error, _ doing: @autoclosure () -> String) -> NodeDatabaseError {
        if let error = error as? NodeDatabaseError { return error }
        guard let error = error as? DatabaseError else { return NodeDatabaseError(.storage, doing(), cause: error) }
        // Never the arguments of the statement: GRDB leaves them out by default, and we keep it so.
        let message = "\(doing()): \(error.message ?? "SQLite error") (\(error.extendedResultCode.rawValue))"
        switch error.resultCode {
        case .SQLITE_BUSY, .SQLITE_LOCKED, .SQLITE_INTERRUPT: return NodeDatabaseError(.unavailable, message)
        default: return NodeDatabaseError(.storage, message)
        }
    }
}
