public import Base

/// A failed call to a container runtime. The message names the call and its subject.
public typealias ContainerRuntimeError = Failure<ContainerRuntimeErrorCode>

/// The kinds of ``ContainerRuntimeError``.
public enum ContainerRuntimeErrorCode: Hashable, Sendable {
    /// Nothing answers at the socket.
    case unreachable
    /// The runtime refused the call.
    case failed
    /// The response does not have the requested content.
    case badContent
}
