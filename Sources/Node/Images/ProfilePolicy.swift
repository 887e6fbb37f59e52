/// The options for recording and replaying profiles.
public struct ProfilePolicy: Sendable {
    /// True if the streaming engine prefetches the chunks that earlier starts of an image read. For an image without a
    /// recorded start, it uses the starts of another image of the same repository.
    public var replays = true
    /// True if the chunks that a start reads are recorded.
    public var records = true
    /// The length of the pause that ends a container's start. During the pause, the container reads no new chunk.
    public var quiet = Duration.seconds(10)
    /// The time after a container's first read at which its start counts as over, even if the container still reads new
    /// chunks.
    public var longest = Duration.seconds(300)
    /// The callback that receives what a container start read; `nil` to report no start. It receives the first start
    /// since the image was mounted. It receives a later start only if the known profile lacks at least 5 % of the bytes
    /// that this start read.
    public var report: (@Sendable (ReportedProfile) -> Void)?

    public init() {}
}
