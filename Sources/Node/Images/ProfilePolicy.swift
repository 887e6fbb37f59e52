/// The options for recording and replaying profiles.
public struct ProfilePolicy: Sendable {
    /// True if the engine prefetches the chunks that earlier container starts read. The starts were of the same image
    /// or of another image of its repository.
    public var replays = true
    /// True if the chunks that a start reads are recorded.
    public var records = true
    /// The time without a first read of any chunk after which a container's start counts as over.
    public var quiet = Duration.seconds(10)
    /// The time after the first read at which a container's start counts as over in any case.
    public var longest = Duration.seconds(300)
    /// The callback that receives what a container start read; `nil` to report no start. It receives the first start
    /// since the image was mounted. It receives a later start only if the known profile lacks at least 5 % of the bytes
    /// that this start read.
    public var report: (@Sendable (ReportedProfile) -> Void)?

    public init() {}
}
