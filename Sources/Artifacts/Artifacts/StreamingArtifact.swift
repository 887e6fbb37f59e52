public import Base
import FoundationEssentials
public import Registry

/// A streaming artifact, which makes an ordinary image streamable: an OCI manifest that refers to the image's manifest.
/// `docs/streaming-artifact.md` describes it byte by byte.
public struct StreamingArtifact: Sendable, Hashable {
    public static let artifactType = "application/vnd.rivulet.streaming.v1"
    /// The artifact type of an intermediate result of a conversion: a manifest that lists the index, restart windows
    /// and copy of one finished layer. The registry stores this manifest so that an interrupted conversion can resume.
    package static let unfinishedType = "application/vnd.rivulet.streaming-layer.v1"
    package static let layerIndexType = "application/vnd.rivulet.layer-index.v1"
    package static let windowsType = "application/vnd.rivulet.restart-windows.v1"
    package static let layerCopyType = "application/vnd.rivulet.layer-copy.v1"
    package static let startupPackType = "application/vnd.rivulet.startup-pack.v1"
    static let layerAnnotation = "io.rivulet.layer.digest"
    static let diffIDAnnotation = "io.rivulet.layer.diff-id"
    static let signatureAnnotation = "io.rivulet.signature"
    static let predictedAnnotation = "io.rivulet.pack.predicted"
    /// The annotation with the generation of the startup pack. A list of referrers repeats this annotation, so the list
    /// alone shows which of several artifacts is the newest.
    static let generationAnnotation = "io.rivulet.pack.generation"
    /// The highest valid generation. No image ever has this many packs, and the next number still fits in a `UInt32`.
    private static let maximumGeneration: UInt32 = 1 << 30
    /// The config `{}` of the artifact's manifest (OCI image-spec 1.1, "Guidance for an Empty Descriptor").
    package static let emptyConfig = Array("{}".utf8)

    /// The parts of the artifact for one layer of the image.
    public struct Layer: Sendable, Hashable {
        /// The digest of the layer's blob.
        public let blob: Digest
        /// The digest of the layer's uncompressed archive (OCI image-spec, "DiffID").
        public let diffID: Digest
        /// The descriptor of the layer index.
        public let index: Descriptor
        /// The descriptor of the blob with the layer's restart windows; `nil` if none is needed. A restart window is
        /// the data that a decoder needs to begin in the middle of a DEFLATE stream.
        public let windows: Descriptor?
        /// The bytes of the layer index if the manifest itself contains it (OCI image-spec descriptor.md, `data`);
        /// `nil` if the index is a separate blob. Only small indexes are in the manifest. The bytes have the digest in
        /// ``index``.
        public var indexBytes: [UInt8]?
        /// The descriptor of a copy of the layer. The copy consists of short zstd frames, so nodes can decode it piece
        /// by piece. `nil` if the layer's own blob allows this, too.
        public let copy: Descriptor?

        public init(
            blob: Digest, diffID: Digest, index: Descriptor, indexBytes: [UInt8]? = nil, windows: Descriptor? = nil,
            copy: Descriptor? = nil
        ) {
            self.blob = blob
            self.diffID = diffID
            self.index = index
            self.indexBytes = indexBytes
            self.windows = windows
            self.copy = copy
        }

        /// The size in bytes of the layer's index, windows and copy together.
        package var size: UInt64 { [index.size, windows?.size ?? 0, copy?.size ?? 0].saturatingSum() }
    }

    /// The descriptor of the image's manifest.
    public let subject: Descriptor
    /// The parts for the image's layers that can be streamed, in the order of the layers. A blob that the image uses
    /// twice appears once.
    public let layers: [Layer]
    /// The descriptor of the startup pack, one blob with the chunks that a container reads until it is ready; `nil` if
    /// the artifact has none.
    public let pack: Descriptor?
    /// The number of the startup pack in the sequence of this image's packs, from 1; 0 if the artifact has no pack.
    public let generation: UInt32
    /// True if the pack's chunks are predicted. False if they were recorded during the start of a container, or if
    /// there is no pack.
    public let isPackPredicted: Bool
    /// The contents that the artifact announces in lists of referrers; `nil` if it announces none.
    let contents: ArtifactContents?
    /// An Ed25519 signature over the manifest without the signature; `nil` if nobody has signed it. See
    /// ``ArtifactKeys``.
    public var signature: [UInt8]?

    /// - Parameter pack: the startup pack and its generation, 1 or more; `nil` for an artifact without a pack.
    public init(
        subject: Descriptor, layers: [Layer], pack: (blob: Descriptor, generation: UInt32)? = nil,
        isPackPredicted: Bool = false, signature: [UInt8]? = nil
    ) {
        self.init(
            subject: subject, layers: layers, pack: pack, isPackPredicted: isPackPredicted, signature: signature,
            contents: ArtifactContents(
                indexes: layers.filter { $0.indexBytes == nil }.map { ($0.blob, $0.index.digest) },
                pack: pack.map { ($0.blob.digest, $0.blob.size) }))
    }

    private init(
        subject: Descriptor, layers: [Layer], pack: (blob: Descriptor, generation: UInt32)?, isPackPredicted: Bool,
        signature: [UInt8]?, contents: ArtifactContents?
    ) {
        self.subject = subject
        self.layers = layers
        self.pack = pack?.blob
        generation = pack?.generation ?? 0
        self.isPackPredicted = isPackPredicted
        self.signature = signature
        self.contents = contents
    }

    /// Returns the parts of the artifact for the layer whose blob has the digest `digest`; `nil` if there are none.
    public func layer(_ digest: Digest) -> Layer? {
        layers.first { $0.blob == digest }
    }

    // MARK: - As a manifest

    /// Reads a manifest that a registry returned as a referrer of `subject`, the image's manifest.
    ///
    /// - Throws: ``ArtifactError`` if the manifest is not a valid streaming artifact of `subject`.
    public init(_ manifest: Manifest, subject: Digest) throws(ArtifactError) {
        try self.init(manifest, subject: subject, type: Self.artifactType)
    }

    /// Reads a manifest of the artifact type `type`, a referrer of `subject`.
    ///
    /// - Throws: ``ArtifactError`` if the manifest has another type or subject, or is malformed.
    package init(_ manifest: Manifest, subject: Digest, type: String) throws(ArtifactError) {
        func invalid(_ why: String) -> ArtifactError {
            ArtifactError(.invalid, "manifest \(manifest.digest) is no streaming artifact of \(subject): \(why)")
        }
        guard manifest.artifactType == type else { throw invalid("its artifactType is another") }
        guard let stated = manifest.subject, stated.digest == subject else { throw invalid("its subject is another") }
        var beside = [Self.windowsType: [Digest: Descriptor](), Self.layerCopyType: [:]]
        for descriptor in manifest.layers where beside[descriptor.mediaType] != nil {
            guard let blob = descriptor.annotations[Self.layerAnnotation].flatMap({ Digest($0) }) else {
                throw invalid("a \(descriptor.mediaType) without a layer")
            }
            beside[descriptor.mediaType]?[blob] = Self.bare(descriptor)
        }
        var layers: [Layer] = []
        for descriptor in manifest.layers where descriptor.mediaType == Self.layerIndexType {
            guard let blob = descriptor.annotations[Self.layerAnnotation].flatMap({ Digest($0) }),
                let diffID = descriptor.annotations[Self.diffIDAnnotation].flatMap({ Digest($0) })
            else { throw invalid("a layer index without a layer") }
            let bytes = descriptor.data.map { Data(base64Encoded: $0).map(Array.init) ?? [] }
            guard bytes.map({ Digest.of($0) == descriptor.digest }) != false else {
                throw invalid("the index that it holds of layer \(blob) is another than it says")
            }
            layers.append(
                Layer(
                    blob: blob, diffID: diffID, index: Self.bare(descriptor), indexBytes: bytes,
                    windows: beside[Self.windowsType]?[blob], copy: beside[Self.layerCopyType]?[blob]))
        }
        guard !layers.isEmpty else { throw invalid("it has no layer index") }
        let packs = manifest.layers.filter { $0.mediaType == Self.startupPackType }
        let generation = Self.generation(manifest.annotations)
        guard packs.count <= 1, (generation > 0) == !packs.isEmpty else {
            throw invalid("it has \(packs.count) startup packs, and says that it has had \(generation)")
        }
        self.init(
            subject: Self.bare(stated), layers: layers, pack: packs.first.map { (Self.bare($0), generation) },
            isPackPredicted: manifest.annotations[Self.predictedAnnotation] == "true",
            signature: manifest.annotations[Self.signatureAnnotation].flatMap { Data(base64Encoded: $0) }.map(
                Array.init),
            // Keep the text of the annotation unchanged, because the signature covers it.
            contents: manifest.annotations[ArtifactContents.annotation].flatMap { ArtifactContents(text: $0) })
    }

    /// Returns the startup pack's generation from the annotations of an artifact; 0 if they state none or an invalid
    /// one.
    package static func generation(_ annotations: [String: String]) -> UInt32 {
        let stated = annotations[generationAnnotation].flatMap { UInt32($0) } ?? 0
        return stated <= maximumGeneration ? stated : 0
    }

    private var annotations: [String: String] {
        var annotations: [String: String] = [:]
        if let signature { annotations[Self.signatureAnnotation] = Data(signature).base64EncodedString() }
        if isPackPredicted { annotations[Self.predictedAnnotation] = "true" }
        if let contents { annotations[ArtifactContents.annotation] = contents.text }
        if generation > 0 { annotations[Self.generationAnnotation] = "\(generation)" }
        return annotations
    }

    /// Returns the descriptor without its annotations and data. ``Layer`` has properties for their contents.
    private static func bare(_ descriptor: Descriptor) -> Descriptor {
        Descriptor(mediaType: descriptor.mediaType, digest: descriptor.digest, size: descriptor.size)
    }

    private struct Wire: Encodable {
        let schemaVersion = 2
        let mediaType = MediaType.ociManifest
        let artifactType: String
        let config: WireDescriptor
        let layers: [WireDescriptor]
        let subject: WireDescriptor
        let annotations: [String: String]?

        enum CodingKeys: CodingKey { case schemaVersion, mediaType, artifactType, config, layers, subject, annotations }
    }

    /// Returns the bytes of the manifest. Equal artifacts have equal bytes.
    public func encoded() throws(ArtifactError) -> [UInt8] {
        try encoded(as: Self.artifactType)
    }

    package func encoded(as type: String) throws(ArtifactError) -> [UInt8] {
        let config = Descriptor(
            mediaType: MediaType.ociEmpty, digest: Digest.of(Self.emptyConfig),
            size: UInt64(Self.emptyConfig.count))
        let entries = layers.flatMap { layer -> [WireDescriptor] in
            let index = WireDescriptor(
                layer.index,
                annotations: [
                    Self.layerAnnotation: layer.blob.description, Self.diffIDAnnotation: layer.diffID.description,
                ], data: layer.indexBytes.map { Data($0).base64EncodedString() })
            let beside = [layer.windows, layer.copy].compactMap { $0 }.map {
                WireDescriptor($0, annotations: [Self.layerAnnotation: layer.blob.description])
            }
            return [index] + beside
        }
        let packs = pack.map { [WireDescriptor($0)] } ?? []
        let annotations = annotations
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return Array(
                try encoder.encode(
                    Wire(
                        artifactType: type,
                        config: WireDescriptor(config, data: "e30="), layers: entries + packs,
                        subject: WireDescriptor(subject), annotations: annotations.isEmpty ? nil : annotations)))
        } catch {
            throw ArtifactError(.internal, "a streaming artifact cannot be encoded", cause: error)
        }
    }

    /// Returns the artifact's entry in a list of referrers, with its annotations (OCI distribution-spec 1.1, "Pushing
    /// Manifests with Subject").
    ///
    /// - Parameter bytes: the artifact's manifest, as ``encoded()`` returns it.
    public func descriptor(of bytes: [UInt8]) -> Descriptor {
        descriptor(of: bytes, as: Self.artifactType)
    }

    package func descriptor(of bytes: [UInt8], as type: String) -> Descriptor {
        Descriptor(
            mediaType: MediaType.ociManifest, digest: Digest.of(bytes), size: UInt64(bytes.count),
            annotations: annotations, artifactType: type)
    }
}
