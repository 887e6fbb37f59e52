/// The options for recording and replaying profiles.
public struct ProfilePolicy: Sendable {
    /// True if the engine prefetches the chunks that earlier starts of the image, or of another image of its
    /// repository, read.
    public var replays = true
    /// True if the chunks that a start reads are recorded.
    public var records = true
    /// The length of the pause that ends a start. During the pause, no chunk is read for the first time.
    public var quiet = Duration.seconds(10)
    /// The longest duration of a start.
    public var longest = Duration.seconds(300)
    /// The callback that gets the profile of each reported start; `nil` if no start is reported.
    public var report: (@Sendable (ReportedProfile) -> Void)?

    public init() {}
}
