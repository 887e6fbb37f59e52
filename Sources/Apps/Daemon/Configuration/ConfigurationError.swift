public import Base

/// A configuration file that cannot be used: which file, which line, which key, and what is wrong with it.
public struct ConfigurationError: ModuleError {
    public enum Code: Hashable, Sendable {
        /// The file is missing or cannot be read.
        case unreadable
        /// It is not TOML.
        case syntax
        /// A key that no option has.
        case unknownKey
        /// A value of the wrong type or out of bounds.
        case badValue
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
