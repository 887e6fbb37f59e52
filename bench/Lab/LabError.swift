public import Base
import ContainerRuntime

/// An error while the lab starts, uses or stops a program.
public typealias LabError = Failure<LabErrorCode>

/// The kinds of ``LabError``.
public enum LabErrorCode: Hashable, Sendable {
    /// A program is not installed or failed to start.
    case cannotStart
    /// A program exited with an error, or exited although it should have kept running.
    case failed
    /// An expected event did not happen in time.
    case timedOut
    /// A file, directory or socket of the lab is unusable.
    case files
    /// The teardown has begun, so nothing new may start.
    case closing
    /// A pod or container did not behave as expected.
    case pod
    /// An argument or environment variable is invalid.
    case usage
}

extension LabError {
    /// Creates an error from an error of the container runtime.
    init(runtime error: ContainerRuntimeError) {
        self.init(.pod, error.message, cause: error)
    }
}
