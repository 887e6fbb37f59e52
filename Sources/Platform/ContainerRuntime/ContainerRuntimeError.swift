public import Base

/// A failed call to a container runtime. The message names the call and its subject.
public struct ContainerRuntimeError: ModuleError {
    public enum Code: Hashable, Sendable {
        /// Nothing answers at the socket.
        case unreachable
        /// The runtime refused the call.
        case failed
        /// The response does not have the requested content.
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
