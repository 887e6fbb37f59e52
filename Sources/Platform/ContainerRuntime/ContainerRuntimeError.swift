public import Base

/// What a container runtime refused, or could not do. The message names the call and what it was about.
public struct ContainerRuntimeError: ModuleError {
    public enum Code: Hashable, Sendable {
        /// Nobody answers at the socket.
        case unreachable
        /// The runtime says no.
        case failed
        /// What came is not what was asked for.
        case badContent
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
