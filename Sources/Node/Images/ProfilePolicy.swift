/// Options for the recording and replay of profiles.
public struct ProfilePolicy: Sendable {
    /// Fetches at once the chunks that the last start of the image, or of another one of its repository, has read.
    public var replays = true
    /// Records the chunks that a start reads.
    public var records = true
    /// A start is over after this many nanoseconds without a first read of any chunk.
    public var quiet: UInt64 = 10_000_000_000
    /// The longest start, in nanoseconds.
    public var longest: UInt64 = 300_000_000_000
    /// Receives the profiles of starts; `nil` if nobody wants them.
    public var report: (@Sendable (ReportedProfile) -> Void)?

    public init() {}
}
