public import Base

/// An error of the conversion service. A failed conversion causes no such error: its operation records the failure.
public typealias ConversionError = Failure<ConversionErrorCode>

/// The kinds of ``ConversionError``.
public enum ConversionErrorCode: Hashable, Sendable {
    /// The request is malformed.
    case invalid
    /// The operation or repository does not exist.
    case notFound
    /// The service is configured to refuse requests of this kind.
    case refused
    /// The operation has already ended.
    case isOver
    /// The database failed, or belongs to another program.
    case storage
}
