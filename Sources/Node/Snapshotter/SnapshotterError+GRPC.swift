public import Base
import Concurrency
public import GRPCCore
import NodeDatabase

/// The one mapping from the snapshotter's errors to gRPC status codes.
///
/// containerd converts the status code to an error class of its own, and decides by this class alone. So the code for
/// each error must be the code that containerd's own snapshotters use.
extension Failure: RPCErrorConvertible where FailureCode == SnapshotterErrorCode {
    public var rpcErrorCode: RPCError.Code {
        switch code {
        case .invalidArgument: .invalidArgument
        case .notFound: .notFound
        case .alreadyExists: .alreadyExists
        case .failedPrecondition: .failedPrecondition
        case .unavailable: .unavailable
        case .deadlineExceeded: .deadlineExceeded
        case .cancelled: .cancelled
        case .storage, .inUse: .internalError
        }
    }

    public var rpcErrorMessage: String { description }
}

extension SnapshotterError {
    /// Returns `error` as a ``SnapshotterError``. `doing` names the failed operation in the message.
    ///
    /// An error of an unknown type becomes ``SnapshotterErrorCode/storage``.
    static func wrapping(_ error: any Error, _ doing: @autoclosure () -> String) -> SnapshotterError {
        switch error {
        case let error as SnapshotterError: error
        case let error as NodeDatabaseError: SnapshotterError(Code(error.code), error.message, cause: error.cause)
        case is CancellationError:
            SnapshotterError(.cancelled, "\(doing()): cancelled by the client, or the daemon is shutting down")
        case let error as TimeoutError:
            SnapshotterError(.deadlineExceeded, "\(doing()) took longer than \(error.limit)")
        default: SnapshotterError(.storage, doing(), cause: error)
        }
    }
}

extension SnapshotterErrorCode {
    init(_ code: NodeDatabaseError.Code) {
        self =
            switch code {
            case .invalidArgument: .invalidArgument
            case .notFound: .notFound
            case .alreadyExists: .alreadyExists
            case .failedPrecondition: .failedPrecondition
            case .unavailable: .unavailable
            case .storage: .storage
            case .inUse: .inUse
            }
    }
}
