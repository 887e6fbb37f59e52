import Base
import ContentStore
import Logging
import NodeDatabase
import Planner
import Prediction
import Streaming

/// A prefetcher for the start of a container on a newly mounted chain. It uses a profile, or else a prediction.
struct ChainStart: Sendable {
    let profiles: KnownProfiles
    let recorder: StartRecorder
    let engine: StreamingEngine
    /// The predictor; `nil` if prediction is disabled.
    let predictor: Predictor?
    let store: ContentStore
    let logger: Logger

    /// Prefetches the chunks that a profile names for the start, and begins to record the start's reads.
    ///
    /// If there is no profile, begins a prediction instead of the prefetch. Blocks on the database.
    func begin(_ chain: MountedChain) {
        let known = profiles.find(chain.id, chain.repository)
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
                "chain": "\(chain.id)", "repository": "\(chain.repository)",
                "from": "\(known.chain == chain.id ? "this image" : "chain \(known.chain)")",
                "entries": "\(known.profile.entries.count)", "found": "\(runs.count)",
            ])
        return runs
    }

    private func predict(_ chain: MountedChain) {
        let subject = PredictionSubject(layers: chain.layers) { [store] in try store.openTree(ofChain: chain.id) }
        predictor?.follow(.chain(chain.id), subject: subject, touches: chain.touches, engine: engine)
    }

    /// Gives the predictor the command that the image of `chain` runs.
    func configure(_ chain: Digest, _ start: ContainerStart) {
        predictor?.configure(.chain(chain), start)
    }

    /// Ends the recording and the prediction of a chain that is being unmounted.
    func end(_ chain: Digest) {
        recorder.end(chain)
        predictor?.end(.chain(chain))
    }
}
