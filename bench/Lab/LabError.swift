public import Base
import ContainerRuntime

/// What went wrong while real parts were being started, used or taken down.
public struct LabError: ModuleError {
    public enum Code: Hashable, Sendable {
        /// A program is not installed or cannot be started.
        case cannotStart
        /// A program ended with an error, or ended at all where it should have run on.
        case failed
        /// Something did not happen within its time.
        case timedOut
        /// A file, directory or socket of the lab cannot be used.
        case files
        /// The lab is being taken down, so nothing new may begin.
        case closing
        /// A pod or container did not do what was expected of it.
        case pod
        /// What was given on the command line or in the environment makes no sense.
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

    /// What the container runtime says is wrong.
    init(runtime error: ContainerRuntimeError) {
        self.init(.pod, error.message, cause: error)
    }
}
