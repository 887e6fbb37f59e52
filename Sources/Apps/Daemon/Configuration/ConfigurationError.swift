public import Base

/// An unusable configuration file. The message names the file, the line, the key and the problem.
public struct ConfigurationError: ModuleError {
    public enum Code: Hashable, Sendable {
        /// The file is missing or unreadable.
        case unreadable
        /// The file is not valid TOML.
        case syntax
        /// A key that is not an option.
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
