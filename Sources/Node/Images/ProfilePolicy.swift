/// Options for the recording and replay of profiles.
public struct ProfilePolicy: Sendable {
    /// Prefetches the chunks that the last start of the image, or of another one of its repository, has read.
    public var replays = true
    /// Records the chunks that a start reads.
    public var records = true
    /// A start is over after this long without the first read of any chunk.
    public var quiet = Duration.seconds(10)
    /// The longest start.
    public var longest = Duration.seconds(300)
    /// Receives the profiles of starts; `nil` if nobody wants them.
    public var report: (@Sendable (ReportedProfile) -> Void)?

    public init() {}
}
