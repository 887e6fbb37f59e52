/// The origin of a start hint, from the least to the most trusted.
///
/// This order is the only ranking of hints: where a better hint covers the whole start of a layer, a worse one is
/// dropped.
public enum HintSource: UInt8, CaseIterable, Comparable, Sendable {
    /// Predicted on this node from the contents of files.
    case prediction
    /// A startup pack that was made from a prediction.
    case predictedPack
    /// A startup pack of a start that somebody recorded.
    case recordedPack
    /// A profile that this node recorded.
    case recordedProfile
    /// The image author's mark: the eStargz prefetch landmark.
    case landmark

    /// True if it stems from a recorded start. Such a hint covers everything that the start reads.
    public var isRecorded: Bool { self == .recordedPack || self == .recordedProfile }

    /// True if it is a guess: what it does not name may still be read.
    public var isGuess: Bool { self < .recordedPack }

    public static func < (left: HintSource, right: HintSource) -> Bool {
        left.rawValue < right.rawValue
    }
}
