import Base
import ContentStore
import NIOPosix
import Planner
import Prediction
import Registry
import Streaming

/// Tells the transfer engine about an image that is being opened.
struct LayerStreaming: Sendable {
    let engine: StreamingEngine
    /// `nil` if nothing is predicted.
    let predictor: Predictor?
    let workers: NIOThreadPool

    /// Attaches an opened layer, with the bytes that arrived with its index.
    func attach(_ layer: StoredLayer, in repository: Repository, tail: BlobPart?) async {
        engine.attach(layer, locations: [BlobLocation(repository: repository, digest: layer.digest)])
        guard let tail else { return }
        try? await workers.runIfActive { [engine] in engine.publish(tail.bytes, at: tail.range, of: layer) }
    }

    /// Prefetches the chunks of the layer that the start will read, as far as `source` tells.
    ///
    /// Another layer may cover some of these files; the link has nothing else to do, and the profile is bounded.
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

    /// Prefetches the chunks that the layers themselves mark.
    func prefetchLandmarks(of layers: [StoredLayer]) {
        engine.prefetch(StartHint(landmarksOf: layers))
    }

    /// Replays a startup pack into these layers.
    func replay(_ pack: OpeningContents.Pack, into layers: [StoredLayer]) {
        let source: HintSource = pack.isPredicted ? .predictedPack : .recordedPack
        engine.prefetch(StartHint(source, pack: pack.request, layers: layers))
    }
}
