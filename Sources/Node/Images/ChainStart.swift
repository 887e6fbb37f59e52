import Base
import ContentStore
import Logging
import NodeDatabase
import Planner
import Prediction
import Streaming

/// The prefetching for the start of a container on a newly mounted chain. It uses a profile if there is one, and
/// otherwise a prediction.
struct ChainStart: Sendable {
    let profiles: KnownProfiles
    let recorder: StartRecorder
    let engine: StreamingEngine
    /// The predictor; `nil` if prediction is disabled.
    let predictor: Predictor?
    let store: ContentStore
    let logger: Logger

    /// Begins to record the reads of the container's start. Prefetches the chunks that a profile names, or begins a
    /// prediction if there is no profile.
    ///
    /// Blocks on the database.
    func begin(_ chain: MountedChain) {
        let known = profiles.find(chain.claim, chain.repository)
        let replayed = known.map { replay($0, on: chain) } ?? []
        recorder.begin(chain, known: known?.profile, replayed: replayed)
        if known == nil { predict(chain) }
    }

    private func replay(_ known: KeptProfile, on chain: MountedChain) -> [ChunkRun] {
        let runs = known.profile.pieces(in: chain.tree, chain.layers)
        engine.prefetch(StartHint(.recordedProfile, runs: runs))
        logger.info(
            "profile replayed",
            metadata: [
                "chain": "\(chain.claim)", "repository": "\(chain.repository)",
                "from": "\(known.chain == chain.claim ? "this image" : "chain \(known.chain)")",
                "entries": "\(known.profile.entries.count)", "found": "\(runs.count)",
            ])
        return runs
    }

    private func predict(_ chain: MountedChain) {
        let subject = PredictionSubject(layers: chain.layers) { [store] in try store.openTree(ofChain: chain.key) }
        predictor?.follow(.chain(chain.key.id), subject: subject, touches: chain.touches, engine: engine)
    }

    /// Tells the predictor which command the image of `chain` runs.
    func configure(_ chain: ChainKey, _ start: ContainerStart) {
        predictor?.configure(.chain(chain.id), start)
    }

    /// Ends the recording and the prediction of a chain that is being unmounted.
    func end(_ chain: ChainKey) {
        recorder.end(chain)
        predictor?.end(.chain(chain.id))
    }
}
