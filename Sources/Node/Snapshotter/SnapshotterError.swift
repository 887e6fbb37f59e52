public import Base

/// An error of the snapshotter.
public struct SnapshotterError: ModuleError {
    public enum Code: Hashable, Sendable {
        /// A malformed key, label, filter or mask, or a parent that is not committed.
        case invalidArgument
        case notFound
        case alreadyExists
        /// The snapshot's state forbids the call.
        case failedPrecondition
        /// A part below does not answer at the moment.
        case unavailable
        /// The call exceeded its limit.
        case deadlineExceeded
        /// The caller was cancelled.
        case cancelled
        /// The state directory is corrupt, foreign, unreadable or full.
        case storage
        /// Another process holds the socket or the state directory.
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
