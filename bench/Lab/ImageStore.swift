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
        try write(config, of: repository)
        for layer in layers { try write(layer.blob, of: repository) }
        let manifest = Array(
            """
            {"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",\
            "config":\(descriptor(config, "application/vnd.oci.image.config.v1+json")),\
            "layers":[\(layers.map { descriptor($0.blob, $0.mediaType, $0.annotations) }.joined(separator: ","))]}
            """.utf8)
        let digest = try data(manifest)
        let manifests = "\(storage)/docker/registry/v2/repositories/\(repository)/_manifests"
        try Files.write("\(manifests)/revisions/sha256/\(digest.hex)/link", "\(digest)")
        try Files.write("\(manifests)/tags/\(tag)/index/sha256/\(digest.hex)/link", "\(digest)")
        try Files.write("\(manifests)/tags/\(tag)/current/link", "\(digest)")
        return digest
    }

    private func descriptor(_ bytes: [UInt8], _ mediaType: String, _ annotations: [String: String] = [:]) -> String {
        var text = "{\"mediaType\":\"\(mediaType)\",\"digest\":\"\(Digest.of(bytes))\",\"size\":\(bytes.count)"
        if !annotations.isEmpty {
            let pairs = annotations.sorted { $0.key < $1.key }.map { "\"\($0.key)\":\"\($0.value)\"" }
            text += ",\"annotations\":{\(pairs.joined(separator: ","))}"
        }
        return text + "}"
    }

    private func write(_ bytes: [UInt8], of repository: String) throws {
        let digest = try data(bytes)
        let links = "\(storage)/docker/registry/v2/repositories/\(repository)/_layers/sha256/\(digest.hex)"
        try Files.write("\(links)/link", "\(digest)")
    }

    private func data(_ bytes: [UInt8]) throws -> Digest {
        let digest = Digest.of(bytes)
        let directory = "\(storage)/docker/registry/v2/blobs/sha256/\(digest.hex.prefix(2))/\(digest.hex)"
        if !Files.exists("\(directory)/data") {
            try Files.makeDirectory(directory)
            try Sys.writeFile("\(directory)/data", bytes, permissions: 0o644)
        }
        return digest
    }
}
