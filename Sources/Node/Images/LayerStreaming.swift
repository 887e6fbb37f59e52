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

    /// Attaches an opened layer to the streaming engine, and publishes the chunks in `tail`, the end of the layer's
    /// blob. `tail` is `nil` if the end was not read when the layer was opened.
    func attach(_ layer: StoredLayer, in repository: Repository, tail: BlobPart?) async {
        engine.attach(layer, locations: [BlobLocation(repository: repository, digest: layer.digest)])
        guard let tail else { return }
        try? await workers.runIfActive { [engine] in engine.publish(tail.bytes, at: tail.range, of: layer) }
    }

    /// Prefetches the layer's chunks that the container's start is expected to read, according to `source`.
    ///
    /// Another layer of the image may replace some of the files. The engine fetches the chunks of these files anyway,
    /// because the network is idle and the amount is limited.
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

    /// Prefetches the chunks that the layers' author marked with the eStargz prefetch landmark.
    func prefetchLandmarks(of layers: [StoredLayer]) {
        engine.prefetch(StartHint(landmarksOf: layers))
    }

    /// Makes the streaming engine fetch a startup pack and store its chunks in `layers`.
    func replay(_ pack: OpeningContents.Pack, into layers: [StoredLayer]) {
        let source: HintSource = pack.isPredicted ? .predictedPack : .recordedPack
        engine.prefetch(StartHint(source, pack: pack.request, layers: layers))
    }
}
