public import Base

/// A failure of the engine itself, of a startup pack or of a profile. The failure of a transfer goes to its readers.
public struct StreamingError: ModuleError {
    public enum Code: Hashable, Sendable {
        /// A thread could not be started.
        case noThread
        /// The bytes are not a valid startup pack, or one cannot be made.
        case badPack
        /// The bytes are not a valid profile.
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
