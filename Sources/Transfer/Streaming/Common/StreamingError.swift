public import Base

/// A failure of the engine itself, of a startup pack or of a profile. A failed transfer is reported to the waiting
/// readers instead.
public typealias StreamingError = Failure<StreamingErrorCode>

/// The kinds of ``StreamingError``.
public enum StreamingErrorCode: Hashable, Sendable {
    /// The system could not start a thread.
    case noThread
    /// The bytes are not a valid startup pack, or a pack cannot be made.
    case badPack
    /// The bytes are not a valid profile.
    case badProfile
}
