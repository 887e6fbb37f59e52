public import Base

/// An error of the conversion service. A failed conversion is reported in its operation instead.
public struct ConversionError: ModuleError {
    public enum Code: Hashable, Sendable {
        /// The request is malformed.
        case invalid
        /// The operation or repository does not exist.
        case notFound
        /// The service is configured to refuse it.
        case refused
        /// The operation has already ended.
        case isOver
        /// The database failed, or belongs to another program.
        case storage
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
