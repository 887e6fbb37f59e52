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
    /// The callback that receives the reads of each image's first start, and of a later start if at least 5 % of the
    /// bytes that it read are not in the known profile; `nil` to report no start.
    public var report: (@Sendable (ReportedProfile) -> Void)?

    public init() {}
}
