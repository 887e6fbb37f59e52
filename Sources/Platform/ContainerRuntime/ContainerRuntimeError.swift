public import Base

/// An error of a call to a container runtime. The message names the call and its subject, such as an image.
public typealias ContainerRuntimeError = Failure<ContainerRuntimeErrorCode>

/// The kinds of ``ContainerRuntimeError``.
public enum ContainerRuntimeErrorCode: Hashable, Sendable {
    /// Nothing answers at the socket.
    case unreachable
    /// The call failed for another reason, such as a refusal or a timeout.
    case failed
    /// The content in the response is too large, is incomplete, or does not have the requested digest.
    case badContent
}
