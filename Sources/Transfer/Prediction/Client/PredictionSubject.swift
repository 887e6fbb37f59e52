public import Base
public import ContentStore
public import Linux

/// The subject of one prediction: all layers of an image, or one layer alone.
public struct PredictionSubject: Sendable {
    /// The layers, in the order of the merged tree's devices. The tree places the bytes of each file on a device. The
    /// bytes on device n, counted from 0, are in `layers[n]`.
    let layers: [StoredLayer]
    /// True for the prediction of a startup pack (one blob with the chunks that a container start reads).
    ///
    /// Such a prediction also reports chunks that are already in the local store. It guesses no file before it has
    /// found the file's name (``StartPrediction/speculates``).
    let includesPresent: Bool
    /// A function that opens the merged tree for reading. The client calls it once for each analyzer process.
    let openTree: @Sendable () throws -> OwnedDescriptor

    /// - Parameters:
    ///   - layers: the image's layers, in the order of the merged tree's devices (bottom first).
    ///   - includesPresent: true to also report chunks that are already in the local store. A startup pack contains
    ///     these chunks, too, because it is made for nodes that do not have them.
    ///   - openTree: opens the merged tree for reading. The predictor calls this function again after it has restarted
    ///     the analyzer.
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

/// A range of chunks of one file that a container start is likely to read.
public struct PredictedRun: Sendable {
    public let layer: StoredLayer
    public let chunks: Range<Int>
    /// The file's inode number in the image's merged tree.
    public let inode: UInt64
}

/// The key by which callers refer to one prediction.
public struct PredictionKey: Hashable, Sendable {
    private enum Name: Hashable {
        case chain(Digest)
        case other(UInt64)
    }

    private let name: Name

    private init(_ name: Name) {
        self.name = name
    }

    /// Returns the key of the prediction for containers whose root file system is the chain with the chain key `id`.
    public static func chain(_ id: Digest) -> PredictionKey { PredictionKey(.chain(id)) }

    /// Returns a new random key, for a prediction that only the caller refers to.
    public static func unique() -> PredictionKey { PredictionKey(.other(.random(in: 0 ... .max))) }
}

/// An event of a prediction, delivered on the predictor's thread.
public enum PredictionEvent: Sendable {
    /// Chunks that the container start will probably read soon, in the order of their expected use.
    case runs([PredictedRun])
    /// A pause in the prediction. The analyzer has answered all commands. The analyzer predicts nothing more until
    /// further chunks arrive or the container reads further files. This event follows ``Predictor/proceed(_:)`` and
    /// ``Predictor/configure(_:_:)``.
    case settled
    /// The predicted files in the order of their expected use, as inode numbers in the image's merged tree.
    case order([UInt64])
    /// The end of the prediction because of a failure. No further event follows.
    case lost(PredictionLoss)
}

/// The reasons for the loss of a prediction.
public enum PredictionLoss: String, Sendable, CaseIterable {
    /// A crash of the analyzer.
    case crash
    /// A command that the analyzer did not finish in time.
    case hang
    /// A resource limit that the analyzer reached, so that the kernel killed it.
    case limit
    /// An invalid answer of the analyzer.
    case violation
    /// The lack of a usable analyzer, a tree or layer that the client could not open, or too many starts at the same
    /// time.
    case unavailable
}
