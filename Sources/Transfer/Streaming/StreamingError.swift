public import Base

/// What can go wrong with the engine itself and with profiles. What goes wrong with one transfer is told to those who wait
/// for it.
public struct StreamingError: ModuleError {
    public enum Code: Hashable, Sendable {
        /// A thread could not be started.
        case noThread
        /// Bytes that were to be a startup pack are none, or one cannot be made.
        case badPack
        /// Bytes that were to be a profile are none.
        case badProfile
    }

    public let code: Code
    public let message: String
    public let cause: (any Error)?

    init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }
}
