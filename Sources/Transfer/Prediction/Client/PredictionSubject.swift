public import Base
public import ContentStore
public import Linux

/// The subject of one prediction: an image, or one layer of it.
public struct PredictionSubject: Sendable {
    /// The layers, indexed by the tree's device numbers.
    let layers: [StoredLayer]
    /// True for the prediction of a startup pack. Such a prediction also reports chunks that are already in the local
    /// store, and does not speculate (``StartPrediction/speculates``).
    let includesPresent: Bool
    /// A function that opens the merged tree for reading. The client calls it again for each new analyzer.
    let openTree: @Sendable () throws -> OwnedDescriptor

    /// - Parameters:
    ///   - layers: the image's layers, indexed by the tree's device numbers.
    ///   - includesPresent: true to also report chunks that are on this node, for a startup pack.
    ///   - openTree: opens the merged tree for reading. The predictor calls it again after an analyzer has died.
    public init(
        layers: [StoredLayer], includesPresent: Bool = false,
        openTree: @escaping @Sendable () throws -> OwnedDescriptor
    ) {
        self.layers = layers
        self.includesPresent = includesPresent
        self.openTree = openTree
    }

    /// Creates a subject from one layer alone. Its prediction is limited to the files of that layer.
    public init(layer: StoredLayer) {
        self.init(layers: [layer]) { try layer.openTree() }
    }
}

/// A range of chunks that a start is likely to read.
public struct PredictedRun: Sendable {
    public let layer: StoredLayer
    public let chunks: Range<Int>
    /// The file's inode number in the image's tree.
    public let inode: UInt64
}

/// The key under which callers refer to one prediction.
public struct PredictionKey: Hashable, Sendable {
    private enum Name: Hashable {
        case chain(Digest)
        case other(UInt64)
    }

    private let name: Name

    private init(_ name: Name) {
        self.name = name
    }

    /// Returns the key of the prediction for the containers of a chain.
    public static func chain(_ id: Digest) -> PredictionKey { PredictionKey(.chain(id)) }

    /// Returns a new random key, for a prediction that only the caller refers to.
    public static func unique() -> PredictionKey { PredictionKey(.other(.random(in: 0 ... .max))) }
}

/// An event of a prediction, delivered on the predictor's thread.
public enum PredictionEvent: Sendable {
    /// Chunks that the start will probably read soon, in the order of their expected use.
    case runs([PredictedRun])
    /// The end of the work for now: the analyzer has answered everything, and finds nothing more before further chunks
    /// arrive. This event follows ``Predictor/proceed(_:)`` and ``Predictor/configure(_:_:)``.
    case settled
    /// The files in the order of their expected use, as inode numbers in the tree.
    case order([UInt64])
    /// The loss of the prediction, with its reason. No further event follows.
    case lost(PredictionLoss)
}

/// The reasons for the loss of a prediction.
public enum PredictionLoss: String, Sendable, CaseIterable {
    /// A crash of the analyzer.
    case crash
    /// A turn that took the analyzer too long.
    case hang
    /// A resource limit, at which the kernel killed the analyzer.
    case limit
    /// An invalid answer of the analyzer.
    case violation
    /// No usable analyzer, a file that cannot be opened, or too many starts at the same time.
    case unavailable
}
