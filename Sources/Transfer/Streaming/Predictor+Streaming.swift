public import ContentStore
import Planner
public import Prediction
public import Registry

extension Predictor {
    /// Begins to predict what a starting container reads next, and makes `engine` fetch the predicted chunks.
    ///
    /// - Parameters:
    ///   - chain: the key of the prediction, which names the container's chain.
    ///   - subject: the layers and the merged tree of the container's chain.
    ///   - touches: the log of the container's first reads.
    ///   - engine: the engine that fetches the predicted chunks.
    public func follow(
        _ chain: PredictionKey, subject: PredictionSubject, touches: TouchLog, engine: StreamingEngine
    ) {
        begin(chain, of: subject, reads: touches) { [weak engine] event in
            if case .runs(let runs) = event { engine?.prefetch(StartHint(predicted: runs)) }
        }
        // The observer runs on the reader's thread, so it does no more than wake the predictor's thread.
        touches.onTouch { [weak self] in self?.wake() }
    }

    /// Predicts what a container reads first, and makes `engine` fetch the predicted chunks.
    ///
    /// The prediction uses only the files of `layer`, because the image's other layers may not be open yet. If another
    /// layer replaces a predicted file, the engine fetches the replaced file's chunks in vain. This is acceptable,
    /// because the network is almost idle while the other layers are being opened.
    ///
    /// - Parameters:
    ///   - start: the process that the container runs.
    ///   - layer: an attached layer of the image.
    ///   - engine: the engine that fetches the predicted chunks.
    public func predict(_ start: ContainerStart, in layer: StoredLayer, engine: StreamingEngine) {
        let key = PredictionKey.unique()
        begin(key, of: PredictionSubject(layer: layer), isBrief: true) { [weak engine] event in
            if case .runs(let runs) = event { engine?.prefetch(StartHint(predicted: runs)) }
        }
        configure(key, start)
    }
}

extension ContainerStart {
    /// Creates the description of the process that an image's configuration names.
    public init(_ configuration: ImageConfiguration) {
        self.init(
            arguments: configuration.entrypoint + configuration.command, environment: configuration.environment,
            workingDirectory: configuration.workingDirectory.isEmpty ? "/" : configuration.workingDirectory)
    }
}

extension StartHint {
    /// Creates a hint for the chunks that a start is likely to read, in the order of their expected use.
    fileprivate init(predicted runs: [PredictedRun]) {
        self.init(.prediction, runs: runs.map { ChunkRun(layer: $0.layer, chunks: $0.chunks) })
    }
}
