public import Base
import Linux

/// A writer of images into a registry's storage directory (docker-registry's file system driver). It saves a push of
/// each blob.
public struct ImageStore: Sendable {
    /// A layer as a manifest describes it.
    public struct Layer: Sendable {
        public var blob: [UInt8]
        public var diffID: Digest
        public var mediaType: String
        public var annotations: [String: String]
        /// The digest in the manifest if it is not that of ``blob``: the registry then serves other bytes under it.
        public var statedDigest: Digest?
        /// False if the repository lacks the blob that its manifest names.
        public var isHeld = true

        public init(blob: [UInt8], diffID: Digest, mediaType: String, annotations: [String: String] = [:]) {
            self.blob = blob
            self.diffID = diffID
            self.mediaType = mediaType
            self.annotations = annotations
        }
    }

    private let storage: String

    /// - Parameter storage: the registry's storage directory.
    public init(storage: String) {
        self.storage = storage
    }

    /// Writes an image and returns the digest of its manifest.
    ///
    /// - Parameter note: text for a label in the configuration, so that images with the same layers can differ.
    @discardableResult
    public func write(
        _ layers: [Layer], to repository: String, tag: String, note: String = ""
    ) throws -> Digest {
        let diffIDs = layers.map { "\"\($0.diffID)\"" }.joined(separator: ",")
        let label = note.isEmpty ? "" : ",\"Labels\":{\"note\":\"\(note)\"}"
        let config = Array(
            """
            {"architecture":"amd64","os":"linux","config":{"Cmd":["/x"]\(label)},"rootfs":{"type":"layers","diff_ids":[\(diffIDs)]}}
            """.utf8)
        try writeBlob(config, to: repository)
        for layer in layers where layer.isHeld { try writeBlob(layer.blob, as: layer.statedDigest, to: repository) }
        let descriptors = layers.map { descriptor($0.blob, as: $0.statedDigest, $0.mediaType, $0.annotations) }
        let manifest = Array(
            """
            {"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",\
            "config":\(descriptor(config, "application/vnd.oci.image.config.v1+json")),\
            "layers":[\(descriptors.joined(separator: ","))]}
            """.utf8)
        return try writeManifest(manifest, to: repository, tag: tag)
    }

    /// Writes a manifest whose blobs are in the repository, and returns its digest.
    @discardableResult
    public func writeManifest(_ bytes: [UInt8], to repository: String, tag: String? = nil) throws -> Digest {
        let digest = try data(bytes, as: Digest.of(bytes))
        let manifests = "\(storage)/docker/registry/v2/repositories/\(repository)/_manifests"
        try Files.write("\(manifests)/revisions/sha256/\(digest.hex)/link", "\(digest)")
        if let tag {
            try Files.write("\(manifests)/tags/\(tag)/index/sha256/\(digest.hex)/link", "\(digest)")
            try Files.write("\(manifests)/tags/\(tag)/current/link", "\(digest)")
        }
        return digest
    }

    /// Writes a manifest that refers to the image `subject`, and the only list of the image's referrers (OCI
    /// distribution-spec 1.1, "Referrers Tag Schema").
    public func writeReferrer(
        _ manifest: [UInt8], artifactType: String, annotations: [String: String], of subject: Digest,
        to repository: String
    ) throws {
        try writeManifest(manifest, to: repository)
        let entry = descriptor(
            manifest, "application/vnd.oci.image.manifest.v1+json", annotations, artifactType: artifactType)
        let list = #"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[\#(entry)]}"#
        try writeManifest(Array(list.utf8), to: repository, tag: "sha256-\(subject.hex)")
    }

    /// Writes a blob, and returns its digest.
    ///
    /// - Parameter digest: the digest under which the registry serves it; `nil` for its own.
    @discardableResult
    public func writeBlob(_ bytes: [UInt8], as digest: Digest? = nil, to repository: String) throws -> Digest {
        let digest = try data(bytes, as: digest ?? Digest.of(bytes))
        let links = "\(storage)/docker/registry/v2/repositories/\(repository)/_layers/sha256/\(digest.hex)"
        try Files.write("\(links)/link", "\(digest)")
        return digest
    }

    private func descriptor(
        _ bytes: [UInt8], as digest: Digest? = nil, _ mediaType: String, _ annotations: [String: String] = [:],
        artifactType: String? = nil
    ) -> String {
        var text =
            "{\"mediaType\":\"\(mediaType)\",\"digest\":\"\(digest ?? Digest.of(bytes))\",\"size\":\(bytes.count)"
        if let artifactType { text += ",\"artifactType\":\"\(artifactType)\"" }
        if !annotations.isEmpty {
            let pairs = annotations.sorted { $0.key < $1.key }.map { "\"\($0.key)\":\"\($0.value)\"" }
            text += ",\"annotations\":{\(pairs.joined(separator: ","))}"
        }
        return text + "}"
    }

    private func data(_ bytes: [UInt8], as digest: Digest) throws -> Digest {
        let directory = "\(storage)/docker/registry/v2/blobs/sha256/\(digest.hex.prefix(2))/\(digest.hex)"
        if !Files.exists("\(directory)/data") {
            try Files.makeDirectory(directory)
            try Sys.writeFile("\(directory)/data", bytes, permissions: 0o644)
        }
        return digest
    }
}
