package import Artifacts
package import Base
package import LayerFormats
package import Registry

extension ImageOpening {
    /// The image to open, as the client describes it.
    package struct Request: Sendable, Hashable {
        /// The requested layer, with the annotations from the request's labels.
        package let layer: LayerDescription
        /// The digest of the manifest; `nil` if the client did not name it.
        package let manifest: Digest?

        package init(layer: LayerDescription, manifest: Digest?) {
            self.layer = layer
            self.manifest = manifest
        }
    }

    /// The options of the plan.
    package struct Options: Sendable, Hashable {
        package var formats = LayerFormatRegistry.standard
        package var usesArtifacts = true
        package var replaysProfiles = true
        package var predicts = true
        package var prefetchesLandmarks = true
        /// The most layers of one image that are opened concurrently.
        package var layersAtOnce = 16

        package init() {}
    }

    /// The parts of a manifest that the plan needs.
    package struct ImageDescription: Sendable, Hashable {
        /// The image's layers, from the bottom.
        package let layers: [LayerDescription]
        package let configuration: Descriptor?
        /// The manifest's digest; `nil` if the labels of one layer are all that is known of the image.
        package let manifest: Digest?
        package let isFromContainerd: Bool

        package init(
            layers: [LayerDescription], configuration: Descriptor?, manifest: Digest?, isFromContainerd: Bool
        ) {
            self.layers = layers
            self.configuration = configuration
            self.manifest = manifest
            self.isFromContainerd = isFromContainerd
        }
    }

    package enum Event: Sendable {
        case manifest(ImageDescription)
        case manifestFailed(FallbackReason)
        /// The layer is in the store.
        case present(Digest)
        case missing(Digest)
        /// The store failed to return the layer, or an audit has refused it.
        case refused(Digest, FallbackReason)
        /// The contents of the streaming artifact, as a list of referrers states them.
        case announced(ArtifactContents)
        /// The outcome of ``Action/lookUpArtifact(_:)``: `nil` if there is no artifact, or the look-up failed.
        case artifact(StreamingArtifact?)
        /// The outcome of ``Action/fetchIndex(_:)``.
        case index(Digest, arrived: Bool)
        /// The outcome of ``Action/lookUpProfiles``.
        case profiles(exist: Bool)
        /// The outcome of ``Action/findProfile(chain:)``.
        case startProfile(found: Bool)
        /// The configuration, with the chain ID that it states.
        case configuration(chain: Digest?)
        case noConfiguration
        case opened(Digest)
        case attached(Digest)
        case failed(Digest, FallbackReason)
        /// The time limit of optional look-ups has passed.
        case deadline
    }

    package enum Action: Sendable, Hashable {
        case fetchManifest
        /// Find out if the store has the layer. The outcome is ``Event/present(_:)``, ``Event/missing(_:)`` or
        /// ``Event/refused(_:_:)``.
        case checkStore(Digest)
        case lookUpArtifact(Digest)
        /// Find out if any image of the repository has a profile.
        case lookUpProfiles
        /// Find the profile of the chain, or else a profile of another image of the repository.
        case findProfile(chain: Digest?)
        /// Read the configuration from containerd.
        case readConfiguration(Descriptor)
        /// Fetch the configuration from the registry.
        case fetchConfiguration(Descriptor)
        /// Fetch an announced index.
        case fetchIndex(Digest)
        case dropIndex(Digest)
        /// Request an announced startup pack.
        case openPack(Digest, size: UInt64)
        case dropPack
        /// Request the artifact's startup pack, or keep its early request if there is one. ``givePackLayers(_:)`` hands
        /// the request to the engine.
        case replayPack(StreamingArtifact)
        /// Tell the engine to replay the pack into these layers. Drop the pack if there are none. The plan emits this
        /// once after each ``replayPack(_:)``.
        case givePackLayers([Digest])
        case open(Digest, LayerSource)
        /// Tell the engine where the layer's blob is, and give it the bytes that arrived with the layer's index.
        case attach(Digest)
        /// Prefetch the layer's chunks that the start is expected to read, according to the profile or configuration.
        case hint(Digest, StartSource)
        /// Prefetch the chunks that the layers' author marked as needed early.
        case prefetchLandmarks([Digest])
        case finish(Result<[LayerOutcome], FallbackReason>)
        /// Announce the container's command for a prediction, or announce that no command is known or useful.
        case announceStart(isKnown: Bool)
    }

    /// The place that a layer is opened from.
    package enum LayerSource: Sendable, Hashable {
        case store
        /// The blob, which contains its own table of contents.
        case blob
        case artifact(StreamingArtifact.Layer, isIndexHere: Bool)
    }

    /// The source of a layer's start hint.
    package enum StartSource: Sendable, Hashable {
        case profile
        case configuration
    }

    /// One layer of the opened image.
    package enum LayerOutcome: Sendable, Hashable {
        case streamed(Digest)
        case declined(Digest, FallbackReason)
    }
}
