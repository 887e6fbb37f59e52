import Base
import GRDB

extension NodeDatabaseError {
    /// Returns `error` if it is a ``NodeDatabaseError``. Wraps any other error in one with a suitable code.
    static func wrapping(_ error: any Error, _ doing: @autoclosure () -> String) -> NodeDatabaseError {
        if let error = error as? NodeDatabaseError { return error }
        guard let error = error as? DatabaseError else { return NodeDatabaseError(.storage, doing(), cause: error) }
        // The message must not contain the arguments of the statement. GRDB leaves them out by default, and we do not
        // change that default.
        let message = "\(doing()): \(error.message ?? "SQLite error") (\(error.extendedResultCode.rawValue))"
        switch error.resultCode {
        case .SQLITE_BUSY, .SQLITE_LOCKED, .SQLITE_INTERRUPT: return NodeDatabaseError(.unavailable, message)
        default: return NodeDatabaseError(.storage, message)
        }
    }
}
