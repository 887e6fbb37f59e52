public import ContentStore
import Planner
public import Prediction
public import Registry

extension Predictor {
    /// Follows the start of a container of a chain: `engine` fetches what it is likely to read next.
    ///
    /// - Parameters:
    ///   - chain: names the prediction.
    ///   - subject: the chain's layers and tree.
    ///   - touches: the container's reads.
    public func follow(
        _ chain: PredictionKey, subject: PredictionSubject, touches: TouchLog, engine: StreamingEngine
    ) {
        begin(chain, of: subject, reads: touches) { [weak engine] event in
            if case .runs(let runs) = event { engine?.prefetch(StartHint(predicted: runs)) }
        }
        // It runs in a reader's way, and only wakes the predictor's thread.
        touches.onTouch { [weak self] in self?.wake() }
    }

    /// Fetches what a container that runs `start` reads first, as far as one layer tells: the others are not open yet,
    /// and the link has nothing else to do. Files that another layer covers come in vain.
    public func predict(_ start: ContainerStart, in layer: StoredLayer, engine: StreamingEngine) {
        let key = PredictionKey.unique()
        begin(key, of: PredictionSubject(layer: layer), isBrief: true) { [weak engine] event in
            if case .runs(let runs) = event { engine?.prefetch(StartHint(predicted: runs)) }
        }
        configure(key, start)
    }
}

extension ContainerStart {
    /// The process that an image's configuration names.
    public init(_ configuration: ImageConfiguration) {
        self.init(
            arguments: configuration.entrypoint + configuration.command, environment: configuration.environment,
            workingDirectory: configuration.workingDirectory.isEmpty ? "/" : configuration.workingDirectory)
    }
}

extension StartHint {
    /// Creates a hint of chunks that a start is likely to read, in the order of their expected use.
    fileprivate init(predicted runs: [PredictedRun]) {
        self.init(.prediction, runs: runs.map { ChunkRun(layer: $0.layer, chunks: $0.chunks) })
    }
}
