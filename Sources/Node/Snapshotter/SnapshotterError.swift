public import Base

/// What goes wrong in the snapshotter.
public struct SnapshotterError: ModuleError {
    public enum Code: Hashable, Sendable {
        /// The request makes no sense: a malformed key, label, filter or mask, a parent that is not committed.
        case invalidArgument
        case notFound
        case alreadyExists
        /// The snapshot is not in a state that allows this, now.
        case failedPrecondition
        /// Something beneath does not answer at the moment.
        case unavailable
        /// It took longer than a request may take.
        case deadlineExceeded
        /// The caller has gone away.
        case cancelled
        /// The state directory is not as it must be: corrupt, foreign, unreadable, full.
        case storage
        /// Somebody else holds the socket or the state directory.
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
}
