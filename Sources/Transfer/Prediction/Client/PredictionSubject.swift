public import Base
public import ContentStore
public import Linux

/// The image whose start is predicted.
public struct PredictionSubject: Sendable {
    /// By device number of the tree.
    let layers: [StoredLayer]
    /// Report also chunks that are on this node, and follow names instead of guessing around them: for a startup pack.
    let includesPresent: Bool
    /// Opens the tree for reading. Called again when an analyzer has died.
    let openTree: @Sendable () throws -> OwnedDescriptor

    /// - Parameters:
    ///   - layers: the image's layers, by device number of the tree.
    ///   - includesPresent: report also chunks that are on this node.
    ///   - openTree: opens the merged tree for reading.
    public init(
        layers: [StoredLayer], includesPresent: Bool = false,
        openTree: @escaping @Sendable () throws -> OwnedDescriptor
    ) {
        self.layers = layers
        self.includesPresent = includesPresent
        self.openTree = openTree
    }

    /// One layer for itself, as far as it tells.
    public init(layer: StoredLayer) {
        self.init(layers: [layer]) { try layer.openTree() }
    }
}

/// Chunks that a start is likely to read.
public struct PredictedRun: Sendable {
    public let layer: StoredLayer
    public let chunks: Range<Int>
    /// The file's number in the image's tree.
    public let inode: UInt64
}

/// Names one prediction.
public struct PredictionKey: Hashable, Sendable {
    private enum Name: Hashable {
        case chain(Digest)
        case other(UInt64)
    }

    private let name: Name

    private init(_ name: Name) {
        self.name = name
    }

    /// The prediction of the containers of a chain.
    public static func chain(_ id: Digest) -> PredictionKey { PredictionKey(.chain(id)) }

    /// A prediction that nobody else asks about.
    public static func unique() -> PredictionKey { PredictionKey(.other(.random(in: 0 ... .max))) }
}

/// News of a prediction, on the predictor's thread.
public enum PredictionEvent: Sendable {
    /// Chunks that are likely to be read soon, in the order of their expected use.
    case runs([PredictedRun])
    /// Every event so far has been answered, and nothing more comes before chunks do. Follows ``Predictor/proceed(_:)``
    /// and ``Predictor/configure(_:_:)``.
    case settled
    /// The files in the order of their use, as numbers in the tree.
    case order([UInt64])
    /// There is no prediction any more.
    case lost(PredictionLoss)
}

/// The reasons for the loss of a prediction.
public enum PredictionLoss: String, Sendable, CaseIterable {
    /// The analyzer crashed on one of its files.
    case crash
    /// The analyzer took too long for one of its files.
    case hang
    /// The analyzer reached a limit of the system.
    case limit
    /// The analyzer answered with nonsense.
    case violation
    /// No analyzer could be started, or a file could not be opened.
    case unavailable
}
