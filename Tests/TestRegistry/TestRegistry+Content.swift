public import Base

/// A layer of an image to publish.
public struct TestLayer: Sendable {
    public var bytes: [UInt8]
    public var mediaType: String
    public var annotations: [String: String]
    /// The digest of the unpacked layer, for the configuration; `nil` means the digest of `bytes`.
    public var diffID: Digest?
    /// The size that the descriptor states; `nil` means the true size.
    public var statedSize: Int?
    /// The digest under which a lying registry serves `bytes`; `nil` means the true digest.
    public var statedDigest: Digest?

    public init(
        _ bytes: [UInt8], mediaType: String = "application/vnd.oci.image.layer.v1.tar+gzip",
        annotations: [String: String] = [:], diffID: Digest? = nil, statedSize: Int? = nil,
        statedDigest: Digest? = nil
    ) {
        self.bytes = bytes
        self.mediaType = mediaType
        self.annotations = annotations
        self.diffID = diffID
        self.statedSize = statedSize
        self.statedDigest = statedDigest
    }
}

/// An image served by a ``TestRegistry``.
public struct PublishedImage: Sendable {
    public var repository: String
    public var tag: String
    public var manifestDigest: Digest
    public var configDigest: Digest
    /// The digests of the layers, bottom first.
    public var layerDigests: [Digest]
    /// The diff IDs of the layers, bottom first. They are those of the image's configuration, unless the configuration
    /// was given as bytes.
    public var diffIDs: [Digest]
    /// The image's reference: `127.0.0.1:port/repository:tag`.
    public var reference: String
}

extension TestRegistry {
    /// Adds `bytes` as a blob of every repository.
    ///
    /// - Parameter stated: the digest under which the blob is served; `nil` means the true digest.
    @discardableResult
    public func addBlob(_ bytes: [UInt8], as stated: Digest? = nil) -> Digest {
        let digest = stated ?? Digest.of(bytes)
        state.withLock { $0.blobs[digest] = bytes }
        return digest
    }

    public func removeBlob(_ digest: Digest) {
        state.withLock { $0.blobs[digest] = nil }
    }

    /// Adds `bytes` as a manifest or index under its digest, and under `tag` if given.
    @discardableResult
    public func addManifest(
        _ bytes: [UInt8], mediaType: String = "application/vnd.oci.image.manifest.v1+json", repository: String,
        tag: String? = nil
    ) -> Digest {
        let digest = Digest.of(bytes)
        state.withLock { state in
            let stored = StoredManifest(bytes: bytes, mediaType: mediaType)
            state.manifests["\(repository):\(digest)"] = stored
            if let tag { state.manifests["\(repository):\(tag)"] = stored }
        }
        return digest
    }

    /// Publishes an image: its layers (bottom first), a configuration, and a manifest.
    ///
    /// - Parameter config: the configuration's bytes; `nil` means a minimal one for linux/amd64.
    @discardableResult
    public func addImage(
        repository: String, tag: String = "latest", layers: [TestLayer], config: [UInt8]? = nil,
        annotations: [String: String] = [:]
    ) -> PublishedImage {
        let digests = layers.map { addBlob($0.bytes, as: $0.statedDigest) }
        let diffIDs = zip(layers, digests).map { $0.diffID ?? $1 }
        let diffIDList = diffIDs.map { JSON.string($0.description) }.joined(separator: ",")
        let configBytes =
            config
            ?? Array(
                #"{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[\#(diffIDList)]}}"#
                    .utf8)
        let configDigest = addBlob(configBytes)
        let descriptors = zip(layers, digests).map { layer, digest in
            JSON.descriptor(
                mediaType: layer.mediaType, digest: digest, size: layer.statedSize ?? layer.bytes.count,
                annotations: layer.annotations)
        }
        let configDescriptor = JSON.descriptor(
            mediaType: "application/vnd.oci.image.config.v1+json", digest: configDigest, size: configBytes.count)
        let manifest =
            #"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":\#(configDescriptor),"#
            + #""layers":[\#(descriptors.joined(separator: ","))],"annotations":\#(JSON.object(annotations))}"#
        let digest = addManifest(Array(manifest.utf8), repository: repository, tag: tag)
        return PublishedImage(
            repository: repository, tag: tag, manifestDigest: digest, configDigest: configDigest,
            layerDigests: digests, diffIDs: diffIDs, reference: "\(host)/\(repository):\(tag)")
    }

    /// Publishes an index of manifests. Each entry has a platform (`os/architecture/variant`) or none.
    @discardableResult
    public func addIndex(
        repository: String, tag: String? = nil, manifests: [(digest: Digest, platform: String?)]
    ) -> Digest {
        let entries = manifests.map { manifest in
            JSON.descriptor(
                mediaType: "application/vnd.oci.image.manifest.v1+json", digest: manifest.digest, size: 2,
                platform: manifest.platform)
        }
        let index =
            #"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":["#
            + entries.joined(separator: ",") + "]}"
        return addManifest(
            Array(index.utf8), mediaType: "application/vnd.oci.image.index.v1+json", repository: repository, tag: tag)
    }
}

/// A minimal JSON writer for manifests.
enum JSON {
    static func string(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case _ where scalar.value < 0x20:
                let hex = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    static func object(_ values: [String: String]) -> String {
        let pairs = values.sorted { $0.key < $1.key }.map { string($0.key) + ":" + string($0.value) }
        return "{" + pairs.joined(separator: ",") + "}"
    }

    static func descriptor(
        mediaType: String, digest: Digest, size: Int, annotations: [String: String] = [:], platform: String? = nil
    ) -> String {
        var text = #"{"mediaType":\#(string(mediaType)),"digest":"\#(digest)","size":\#(size)"#
        if !annotations.isEmpty { text += #","annotations":"# + object(annotations) }
        if let platform {
            let parts = platform.split(separator: "/").map(String.init)
            var values = ["os": parts.first ?? "", "architecture": parts.dropFirst().first ?? ""]
            if parts.count > 2 { values["variant"] = parts[2] }
            text += #","platform":"# + object(values)
        }
        return text + "}"
    }
}
