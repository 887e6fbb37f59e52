public import Base

/// An error of the conversion service. The failure of a conversion is part of its operation instead.
public typealias ConversionError = Failure<ConversionErrorCode>

/// The kinds of ``ConversionError``.
public enum ConversionErrorCode: Hashable, Sendable {
    /// The request is malformed.
    case invalid
    /// The operation or repository does not exist.
    case notFound
    /// The service is configured to refuse such requests.
    case refused
    /// The operation has already ended.
    case isOver
    /// The database failed, or belongs to another program.
    case storage
}
