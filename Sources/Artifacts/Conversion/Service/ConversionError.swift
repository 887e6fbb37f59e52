public import Base

/// An error of the conversion service. The failure of a conversion is not such an error: it is recorded in
/// ``ConversionOperation/error``.
public typealias ConversionError = Failure<ConversionErrorCode>

/// The kinds of ``ConversionError``.
public enum ConversionErrorCode: Hashable, Sendable {
    /// The request is malformed, or the registry did not list the tags of the requested repository.
    case invalid
    /// The operation does not exist, or automatic conversion is not enabled for the repository.
    case notFound
    /// The service is configured to refuse requests of this kind.
    case refused
    /// The operation has already ended.
    case isOver
    /// The database failed or belongs to another program, or the service is shutting down.
    case storage
}
