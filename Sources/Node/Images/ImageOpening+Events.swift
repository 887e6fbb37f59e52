package import Artifacts
package import Base
package import ContentStore
package import LayerFormats
package import Registry

extension ImageOpening {
    /// The image to open, as containerd's request describes it.
    package struct Request: Sendable, Hashable {
        /// The requested layer. The request's labels serve as its annotations.
        package let layer: LayerDescription
        /// The digest of the manifest; `nil` if the request does not name it.
        package let manifest: Digest?

        package init(layer: LayerDescription, manifest: Digest?) {
            self.layer = layer
            self.manifest = manifest
        }
    }

    /// The options for opening an image.
    package struct Options: Sendable, Hashable {
        package var formats = LayerFormatRegistry.standard
        package var usesArtifacts = true
        package var replaysProfiles = true
        package var predicts = true
        package var prefetchesLandmarks = true
        /// The maximum number of layers of one image that are opened concurrently.
        package var layersAtOnce = 16

        package init() {}
    }

    /// The parts of an image's manifest that the plan needs.
    package struct ImageDescription: Sendable, Hashable {
        /// The image's layers, from the bottom.
        package let layers: [LayerDescription]
        package let configuration: Descriptor?
        /// The manifest's digest; `nil` if only the labels of one layer are known about the image.
        package let manifest: Digest?
        package let isFromContainerd: Bool
        /// The chain IDs of the layers, from the bottom, as the image's configuration states them; `nil` if nobody has
        /// checked that containerd pulls this image.
        package let chainIDs: [Digest]?

        package init(
            layers: [LayerDescription], configuration: Descriptor?, manifest: Digest?, isFromContainerd: Bool,
            chainIDs: [Digest]? = nil
        ) {
            self.layers = layers
            self.configuration = configuration
            self.manifest = manifest
            self.isFromContainerd = isFromContainerd
            self.chainIDs = chainIDs
        }

        /// Returns the lowest layer whose blob has this digest; `nil` if there is none.
        func layer(_ digest: Digest) -> LayerDescription? { layers.first { $0.digest == digest } }

        /// Returns the diff ID of the layers with this blob. `diffIDs` are those of the image's configuration. Returns
        /// `nil` if they are not as many as the layers, or if they differ for the blob.
        func diffID(of digest: Digest, among diffIDs: [Digest]) -> Digest? {
            guard diffIDs.count == layers.count else { return nil }
            let found = Set(zip(layers, diffIDs).filter { $0.0.digest == digest }.map(\.1))
            return found.count == 1 ? found.first : nil
        }
    }

    /// A layer to look up in the store.
    package enum StoreQuery: Sendable, Hashable {
        /// The layer with this key.
        case pinned(LayerKey)
        /// Any layer of this blob whose index came from the repository of the image.
        case anyOfRepository(Digest)
        /// A layer of this blob that is verified to have this diff ID, from any repository. It is right for every image
        /// that states both. The image's repository must hold the blob.
        case verified(Digest, diffID: Digest)

        package init(_ layer: LayerDescription, _ formats: LayerFormatRegistry) {
            self =
                LayerKey(layer, formats).map { .pinned($0) } ?? .anyOfRepository(layer.digest)
        }
    }

    package enum Event: Sendable {
        case manifest(ImageDescription)
        case manifestFailed(FallbackReason)
        /// The layer is in the store.
        case present(StoreQuery)
        case missing(StoreQuery)
        /// The outcome of a query for ``StoreQuery/anyOfRepository(_:)``: the store has a verified layer of the blob,
        /// but its index came from another repository.
        case elsewhere(StoreQuery)
        /// The store failed to return the layer.
        case unreadable(StoreQuery, FallbackReason)
        /// The contents of the streaming artifact, as an annotation in the registry's list of referrers states them.
        /// The list arrives before the artifact's manifest.
        case announced(ArtifactContents)
        /// The outcome of ``Action/lookUpArtifact(_:)``: `nil` if there is no artifact, or the look-up failed.
        case artifact(StreamingArtifact?)
        /// The outcome of ``Action/fetchIndex(_:)``.
        case index(Digest, arrived: Bool)
        /// The outcome of ``Action/lookUpProfiles``.
        case profiles(exist: Bool)
        /// The outcome of ``Action/findProfile(chain:)``.
        case startProfile(found: Bool)
        /// The image's configuration. `chain` is the chain ID that follows from it; `nil` if the configuration names no
        /// layers. `diffIDs` are the digests of the layers' archives, bottom first.
        case configuration(chain: Digest?, diffIDs: [Digest])
        case noConfiguration
        case opened(Digest)
        case attached(Digest)
        case failed(Digest, FallbackReason)
        /// The time limit for optional look-ups has passed.
        case deadline
    }

    package enum Action: Sendable, Hashable {
        case fetchManifest
        /// Find out if the store has the layer. The outcome is ``Event/present(_:)``, ``Event/missing(_:)``,
        /// ``Event/elsewhere(_:)`` or ``Event/unreadable(_:_:)``.
        case checkStore(StoreQuery)
        case lookUpArtifact(Digest)
        /// Find out if any image of the repository has a profile.
        case lookUpProfiles
        /// Find the profile of the chain, or else a profile of another image of the repository.
        case findProfile(chain: Digest?)
        /// Read the configuration from containerd.
        case readConfiguration(Descriptor)
        /// Fetch the configuration from the registry.
        case fetchConfiguration(Descriptor)
        /// Fetch a layer index that ``Event/announced(_:)`` names.
        case fetchIndex(Digest)
        case dropIndex(Digest)
        /// Request the startup pack that ``Event/announced(_:)`` names.
        case openPack(Digest, size: UInt64)
        case dropPack
        /// Request the artifact's startup pack, unless ``openPack(_:size:)`` has already requested it. The later action
        /// ``givePackLayers(_:)`` hands the request to the streaming engine.
        case replayPack(StreamingArtifact)
        /// Hand the request for the startup pack to the streaming engine, which stores the pack's chunks in these
        /// layers. If there are no layers, drop the request. After ``replayPack(_:)``, the plan emits this action
        /// exactly once.
        case givePackLayers([Digest])
        case open(Digest, LayerSource)
        /// Tell the streaming engine where the layer's blob is. If the end of the blob was read for the layer's index,
        /// also pass these bytes to the engine.
        case attach(Digest)
        /// Prefetch the layer's chunks that the start is expected to read. Either a profile names these chunks, or a
        /// prediction from the image's configuration does.
        case hint(Digest, StartSource)
        /// Prefetch the chunks that the layers' author marked with the eStargz prefetch landmark.
        case prefetchLandmarks([Digest])
        case finish(Result<[LayerOutcome], FallbackReason>)
        /// Tell the predictor the container's command. If `isKnown` is false, tell the predictor that no command is
        /// known or needed.
        case announceStart(isKnown: Bool)
    }

    /// The source from which a layer is opened.
    package enum LayerSource: Sendable, Hashable {
        case store
        /// The store, which has a verified layer with this diff ID.
        case shared(diffID: Digest)
        /// The layer's blob, with a table of contents in the blob or in a companion image.
        case blob
        case artifact(StreamingArtifact.Layer, isIndexHere: Bool)
    }

    /// The source of a layer's start hint, which names the chunks to prefetch.
    package enum StartSource: Sendable, Hashable {
        case profile
        case configuration
    }

    /// The outcome for one layer of the opened image.
    package enum LayerOutcome: Sendable, Hashable {
        case streamed(Digest)
        case declined(Digest, FallbackReason)
    }
}

extension LayerKey {
    /// Creates the layer key from the digest of the table of contents that the layer's annotations state. Returns `nil`
    /// if they state none.
    package init?(_ layer: LayerDescription, _ formats: LayerFormatRegistry) {
        guard let digest = formats.pin(of: layer) else { return nil }
        self.init(layer.digest, .tableOfContents(digest, size: layer.size))
    }
}
