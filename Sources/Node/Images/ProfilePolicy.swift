/// Options for the recording and replay of profiles.
public struct ProfilePolicy: Sendable {
    /// True if the chunks are prefetched that the latest start of the image, or of another image of its repository,
    /// read.
    public var replays = true
    /// True if the chunks that a start reads are recorded.
    public var records = true
    /// The time without the first read of any chunk that ends a start.
    public var quiet = Duration.seconds(10)
    /// The longest duration of a start.
    public var longest = Duration.seconds(300)
    /// The receiver of the profiles of starts; `nil` if nobody wants them.
    public var report: (@Sendable (ReportedProfile) -> Void)?

    public init() {}
}
