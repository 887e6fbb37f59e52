public import Base

/// What the conversion service refuses, or cannot do. What goes wrong with a conversion is in its operation.
public struct ConversionError: ModuleError {
    public enum Code: Hashable, Sendable {
        /// The question makes no sense.
        case invalid
        /// There is no such operation, or no such repository.
        case notFound
        /// The service has been told not to.
        case refused
        /// It has ended already.
        case isOver
        /// The database failed, or is another program's.
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
