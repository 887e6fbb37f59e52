public import Base

/// An unusable configuration file. The message names the file, the line and key if known, and the problem.
public typealias ConfigurationError = Failure<ConfigurationErrorCode>

/// The kinds of ``ConfigurationError``.
public enum ConfigurationErrorCode: Hashable, Sendable {
    /// The file is missing or unreadable.
    case unreadable
    /// The file is not valid TOML.
    case syntax
    /// A key is not an option.
    case unknownKey
    /// A value has the wrong type or is out of bounds.
    case badValue
}
