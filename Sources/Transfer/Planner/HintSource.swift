/// The origin of a start hint, from the least to the most trusted.
///
/// This order is the only ranking of hints. If a hint covers the whole start of a layer's image, the streaming engine
/// drops less trusted hints for this layer.
public enum HintSource: UInt8, CaseIterable, Comparable, Sendable {
    /// A prediction that this node made from file contents.
    case prediction
    /// A startup pack that was made from a prediction.
    case predictedPack
    /// A startup pack that was made from a recorded start.
    case recordedPack
    /// A profile that this node recorded.
    case recordedProfile
    /// The image author's mark: the eStargz prefetch landmark.
    case landmark

    /// True if the hint comes from a recorded start. Such a hint covers everything that the start reads.
    public var isRecorded: Bool { self == .recordedPack || self == .recordedProfile }

    /// True if the hint is a guess: the start may read extents that it does not name.
    public var isGuess: Bool { self < .recordedPack }

    public static func < (left: HintSource, right: HintSource) -> Bool {
        left.rawValue < right.rawValue
    }
}
