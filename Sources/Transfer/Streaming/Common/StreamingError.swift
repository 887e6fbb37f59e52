public import Base

/// A failure of the engine itself, of a startup pack or of a profile. The failure of a transfer goes to its readers.
public typealias StreamingError = Failure<StreamingErrorCode>

/// The kinds of ``StreamingError``.
public enum StreamingErrorCode: Hashable, Sendable {
    /// A thread could not be started.
    case noThread
    /// The bytes are not a valid startup pack, or one cannot be made.
    case badPack
    /// The bytes are not a valid profile.
    case badProfile
}
