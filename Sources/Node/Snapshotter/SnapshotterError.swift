public import Base

/// An error of the snapshotter.
public typealias SnapshotterError = Failure<SnapshotterErrorCode>

/// The kinds of ``SnapshotterError``.
public enum SnapshotterErrorCode: Hashable, Sendable {
    /// A malformed key, label, filter or mask, or a parent that is not committed.
    case invalidArgument
    case notFound
    case alreadyExists
    /// The snapshot's state forbids the call.
    case failedPrecondition
    /// A component that the call depends on is temporarily unavailable.
    case unavailable
    /// The call exceeded its time limit.
    case deadlineExceeded
    /// The caller or the server canceled the call.
    case cancelled
    /// The state directory is corrupt, unreadable or full, or belongs to another program. Unexpected errors of other
    /// modules have this code, too.
    case storage
    /// Another process holds the socket or the state directory.
    case inUse
}
