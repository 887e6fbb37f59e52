/// The source of a start hint, which lists the data that a container's start is expected to read. The cases are ordered
/// from the least to the most trusted.
///
/// This order is the only ranking of hints. If a hint covers everything that a start reads from a layer, the streaming
/// engine drops less trusted hints for this layer.
public enum HintSource: UInt8, CaseIterable, Comparable, Sendable {
    /// A prediction that this node made from file contents.
    case prediction
    /// A startup pack (one blob with the data that a start reads) that was made from a prediction.
    case predictedPack
    /// A startup pack that was made from a recorded start.
    case recordedPack
    /// A profile: the reads of an earlier start, which this node recorded.
    case recordedProfile
    /// The eStargz prefetch landmark, with which the image's author marks the files to prefetch.
    case landmark

    /// True if the hint comes from a recorded start. Such a hint covers everything that the start reads.
    public var isRecorded: Bool { self == .recordedPack || self == .recordedProfile }

    /// True if the hint is a prediction, or a startup pack made from a prediction. The start may then read extents that
    /// the hint does not name.
    public var isGuess: Bool { self < .recordedPack }

    public static func < (left: HintSource, right: HintSource) -> Bool {
        left.rawValue < right.rawValue
    }
}
