public import Base
import ContainerRuntime

/// An error while starting, using or stopping real parts.
public struct LabError: ModuleError {
    public enum Code: Hashable, Sendable {
        /// A program is not installed or failed to start.
        case cannotStart
        /// A program exited with an error, or exited although it should keep running.
        case failed
        /// An expected event did not happen in time.
        case timedOut
        /// A file, directory or socket of the lab is unusable.
        case files
        /// The teardown has begun, so nothing new may start.
        case closing
        /// A pod or container did not behave as expected.
        case pod
        /// An invalid argument or environment variable.
        case usage
    }

    public let code: Code
    public let message: String
    public let cause: (any Error)?

    public init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    /// Creates an error from the container runtime's.
    init(runtime error: ContainerRuntimeError) {
        self.init(.pod, error.message, cause: error)
    }
}
