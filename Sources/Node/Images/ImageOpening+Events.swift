package import Artifacts
package import Base
package import LayerFormats
package import Registry

extension ImageOpening {
    /// One image to open, as far as the client names it.
    package struct Request: Sendable, Hashable {
        /// The layer that was asked for, with the annotations that its labels contain.
        package let layer: LayerDescription
        /// The manifest; `nil` if the client did not name it.
        package let manifest: Digest?

        package init(layer: LayerDescription, manifest: Digest?) {
            self.layer = layer
            self.manifest = manifest
        }
    }

    /// The options that the plan depends on.
    package struct Options: Sendable, Hashable {
        package var formats = LayerFormatRegistry.standard
        package var usesArtifacts = true
        package var replaysProfiles = true
        package var predicts = true
        package var prefetchesLandmarks = true
        /// The most layers of one image that are opened side by side.
        package var layersAtOnce = 16

        package init() {}
    }

    /// The parts of a manifest that matter here.
    package struct ImageDescription: Sendable, Hashable {
        /// From the bottom.
        package let layers: [LayerDescription]
        package let configuration: Descriptor?
        /// `nil` if the image is known by the labels of one layer only.
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
        /// The store cannot give the layer, or an audit has refused it.
        case refused(Digest, FallbackReason)
        /// A list of referrers says what the artifact contains.
        case announced(ArtifactContents)
        /// The artifact; `nil` if there is none, or the look-up failed.
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
        /// The time for optional look-ups is over.
        case deadline
    }

    package enum Action: Sendable, Hashable {
        case fetchManifest
        /// Find out whether the store has the layer: ``Event/present(_:)``, ``Event/missing(_:)`` or
        /// ``Event/refused(_:_:)``.
        case checkStore(Digest)
        case lookUpArtifact(Digest)
        /// Find out whether any image of the repository has a profile.
        case lookUpProfiles
        /// Find the profile of the chain, or of the repository.
        case findProfile(chain: Digest?)
        /// Read the configuration from containerd.
        case readConfiguration(Descriptor)
        /// Fetch the configuration from the registry.
        case fetchConfiguration(Descriptor)
        /// Fetch an announced index.
        case fetchIndex(Digest)
        case dropIndex(Digest)
        /// Open an announced startup pack.
        case openPack(Digest, size: UInt64)
        case dropPack
        /// Tell the engine to replay the artifact's pack, with the one opened early if it is the same.
        case replayPack(StreamingArtifact)
        /// Tell the engine which layers the pack may fill. Follows each ``replayPack(_:)`` once.
        case givePackLayers([Digest])
        case open(Digest, LayerSource)
        /// Tell the engine where the layer is, and give it the bytes that came along.
        case attach(Digest)
        /// Prefetch the chunks of the layer that the source names.
        case hint(Digest, StartSource)
        /// Prefetch what the layers themselves mark as needed early.
        case prefetchLandmarks([Digest])
        case finish(Result<[LayerOutcome], FallbackReason>)
        /// Say whether the configuration serves to predict the start.
        case announceStart(isKnown: Bool)
    }

    /// The place that a layer is opened from.
    package enum LayerSource: Sendable, Hashable {
        case store
        /// The blob itself.
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
