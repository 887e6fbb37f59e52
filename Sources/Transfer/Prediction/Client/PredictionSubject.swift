public import Base
public import ContentStore
public import Linux

/// An image whose start is predicted.
public struct PredictionSubject: Sendable {
    /// The image's layers, indexed by the tree's device numbers.
    let layers: [StoredLayer]
    /// True if the prediction also reports chunks that are on this node, and follows names instead of guessing around
    /// them. A startup pack needs this.
    let includesPresent: Bool
    /// Opens the tree for reading; called again after an analyzer has died.
    let openTree: @Sendable () throws -> OwnedDescriptor

    /// - Parameters:
    ///   - layers: the image's layers, indexed by the tree's device numbers.
    ///   - includesPresent: true to report also chunks that are on this node, for a startup pack.
    ///   - openTree: opens the merged tree for reading. It is called again after an analyzer has died.
    public init(
        layers: [StoredLayer], includesPresent: Bool = false,
        openTree: @escaping @Sendable () throws -> OwnedDescriptor
    ) {
        self.layers = layers
        self.includesPresent = includesPresent
        self.openTree = openTree
    }

    /// Creates a subject of one layer alone. Its prediction is limited to the files of that layer.
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

/// The name of one prediction.
public struct PredictionKey: Hashable, Sendable {
    private enum Name: Hashable {
        case chain(Digest)
        case other(UInt64)
    }

    private let name: Name

    private init(_ name: Name) {
        self.name = name
    }

    /// Returns the key for the prediction of a chain's containers.
    public static func chain(_ id: Digest) -> PredictionKey { PredictionKey(.chain(id)) }

    /// Returns a new key, for a prediction that nobody else refers to.
    public static func unique() -> PredictionKey { PredictionKey(.other(.random(in: 0 ... .max))) }
}

/// An event of a prediction, delivered on the predictor's thread.
public enum PredictionEvent: Sendable {
    /// Chunks that are likely to be read soon, in the order of their expected use.
    case runs([PredictedRun])
    /// The analyzer has answered everything so far, and will find nothing more before further chunks arrive. This event
    /// follows ``Predictor/proceed(_:)`` and ``Predictor/configure(_:_:)``.
    case settled
    /// The files in the order of their expected use, as inode numbers in the tree.
    case order([UInt64])
    /// The prediction is lost for this reason. No further event follows.
    case lost(PredictionLoss)
}

/// The reasons for the loss of a prediction.
public enum PredictionLoss: String, Sendable, CaseIterable {
    /// The analyzer crashed on one of its files.
    case crash
    /// The analyzer took too long for one of its files.
    case hang
    /// The kernel killed the analyzer at a resource limit.
    case limit
    /// The analyzer sent an invalid answer.
    case violation
    /// No analyzer could be started, a file could not be opened, or too many starts are followed.
    case unavailable
}
