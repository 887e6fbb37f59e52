import Base
import ContentStore
import NIOPosix
import Planner
import Prediction
import Registry
import Streaming

/// The calls to the streaming engine for an image that is being opened.
struct LayerStreaming: Sendable {
    let engine: StreamingEngine
    /// The predictor; `nil` if prediction is disabled.
    let predictor: Predictor?
    let workers: NIOThreadPool

    /// Attaches an opened layer to the engine, and publishes `tail`: the bytes that arrived with the layer's index.
    /// `tail` is `nil` if no such bytes arrived.
    func attach(_ layer: StoredLayer, in repository: Repository, tail: BlobPart?) async {
        engine.attach(layer, locations: [BlobLocation(repository: repository, digest: layer.digest)])
        guard let tail else { return }
        try? await workers.runIfActive { [engine] in engine.publish(tail.bytes, at: tail.range, of: layer) }
    }

    /// Prefetches the layer's chunks that the start will read, as far as `source` names them.
    ///
    /// Another layer may hide some of these files. They are fetched all the same, because the link is idle and the
    /// profile is bounded.
    func hint(_ layer: StoredLayer, source: ImageOpening.StartSource, of contents: OpeningContents) async {
        switch source {
        case .profile:
            guard let profile = contents.profile else { return }
            try? await workers.runIfActive { [engine] in
                engine.prefetch(StartHint(.recordedProfile, runs: profile.pieces(in: layer.tree, [layer])))
            }
        case .configuration:
            if let start = contents.start { predictor?.predict(start, in: layer, engine: engine) }
        }
    }

    /// Prefetches the chunks that the layers' author marked as needed early.
    func prefetchLandmarks(of layers: [StoredLayer]) {
        engine.prefetch(StartHint(landmarksOf: layers))
    }

    /// Replays a startup pack into `layers`.
    func replay(_ pack: OpeningContents.Pack, into layers: [StoredLayer]) {
        let source: HintSource = pack.isPredicted ? .predictedPack : .recordedPack
        engine.prefetch(StartHint(source, pack: pack.request, layers: layers))
    }
}
