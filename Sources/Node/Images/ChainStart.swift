import Base
import ContentStore
import Logging
import NodeDatabase
import Planner
import Prediction
import Streaming

/// Prefetches for the start of a container on a chain that has just been mounted: from a profile, or by prediction.
struct ChainStart: Sendable {
    let profiles: KnownProfiles
    let recorder: StartRecorder
    let engine: StreamingEngine
    /// `nil` if nothing is predicted.
    let predictor: Predictor?
    let store: ContentStore
    let logger: Logger

    /// Prefetches the chunks that the start is known to need, and begins to record its reads. Without a profile, has
    /// the start predicted. Blocks on the database.
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

    /// Passes on the command of the image of `chain`, for the prediction.
    func configure(_ chain: Digest, _ start: ContainerStart) {
        predictor?.configure(.chain(chain), start)
    }

    /// Ends the recording and the prediction of a chain that is taken down.
    func end(_ chain: Digest) {
        recorder.end(chain)
        predictor?.end(.chain(chain))
    }
}
