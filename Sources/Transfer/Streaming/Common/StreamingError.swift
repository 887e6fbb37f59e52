public import Base

/// A failure of the engine itself, of a startup pack or of a profile. The engine reports a failed transfer to the
/// waiting readers instead.
public typealias StreamingError = Failure<StreamingErrorCode>

/// The kinds of ``StreamingError``.
public enum StreamingErrorCode: Hashable, Sendable {
    /// The system could not start a thread.
    case noThread
    /// The bytes are not a valid startup pack, or the writer failed to read a chunk for a new pack.
    case badPack
    /// The bytes are not a valid profile.
    case badProfile
}
