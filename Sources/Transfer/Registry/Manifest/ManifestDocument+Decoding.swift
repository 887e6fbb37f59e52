public import Base
import FoundationEssentials

extension ManifestDocument {
    /// The largest accepted manifest or index, in bytes. The distribution specification expects support for at least 4
    /// MiB.
    public static let maximumSize = 8 << 20
    /// The maximum number of layers in a manifest, of manifests in an index, and of entries in a list of referrers.
    static let maximumEntries = 4096

    private struct Wire: Decodable {
        var schemaVersion: Int?
        var mediaType: String?
        var artifactType: String?
        var config: Descriptor?
        var layers: [Descriptor]?
        var manifests: [Descriptor]?
        var annotations: [String: String]?
        var subject: Descriptor?
        /// The layers of a Docker schema 1 manifest; absent in every other document.
        var fsLayers: Ignored?
    }

    private struct Ignored: Decodable {
        init(from decoder: any Decoder) {}
    }

    /// Decodes a manifest or index.
    ///
    /// - Parameters:
    ///   - bytes: the document as received.
    ///   - digest: the digest of `bytes`, which the caller has verified.
    ///   - contentType: the HTTP Content-Type; `nil` if there is none. The initializer uses it only if the document has
    ///     no `mediaType` field. In OCI documents that field is optional.
    /// - Throws: `tooLarge`, `invalidManifest`, or `unsupportedManifest` (such as a Docker schema 1 manifest).
    public init(bytes: [UInt8], digest: Digest, contentType: String?) throws(RegistryError) {
        guard bytes.count <= Self.maximumSize else {
            throw RegistryError(.tooLarge, "manifest \(digest) is larger than \(Self.maximumSize) bytes")
        }
        let wire: Wire
        do {
            wire = try JSONDecoder().decode(Wire.self, from: Data(bytes))
        } catch {
            throw RegistryError(.invalidManifest, "cannot decode manifest \(digest)", cause: error)
        }
        let header = contentType.map { String($0.prefix { $0 != ";" && $0 != " " }) } ?? ""
        let mediaType = wire.mediaType ?? Self.guess(wire, header: header)
        if wire.fsLayers != nil || wire.schemaVersion == 1 {
            throw RegistryError(.unsupportedManifest, "manifest \(digest) is a Docker schema 1 manifest")
        }
        // Refuse an ambiguous document. Two readers could see two different images under its one digest
        // (CVE-2021-41190; OCI image-spec manifest.md, "mediaType").
        guard wire.manifests == nil || (wire.layers == nil && wire.config == nil) else {
            throw RegistryError(.invalidManifest, "manifest \(digest) has both layers and manifests")
        }
        if MediaType.isIndex(mediaType) {
            guard let manifests = wire.manifests else {
                throw RegistryError(.invalidManifest, "index \(digest) has no manifests")
            }
            try Self.checkCount(manifests.count, digest)
            self = .index(
                ImageIndex(
                    digest: digest, mediaType: mediaType, manifests: manifests, annotations: wire.annotations ?? [:]))
        } else if MediaType.isManifest(mediaType) {
            guard let config = wire.config, let layers = wire.layers else {
                throw RegistryError(.invalidManifest, "manifest \(digest) has no config or no layers")
            }
            try Self.checkCount(layers.count, digest)
            self = .image(
                Manifest(
                    digest: digest, size: UInt64(bytes.count), mediaType: mediaType, artifactType: wire.artifactType,
                    config: config, layers: layers, annotations: wire.annotations ?? [:], subject: wire.subject))
        } else {
            throw RegistryError(
                .unsupportedManifest, "manifest \(digest) has the unsupported media type \(quoted(mediaType))")
        }
    }

    private static func guess(_ wire: Wire, header: String) -> String {
        if MediaType.isIndex(header) || MediaType.isManifest(header) { return header }
        // Some registries and caches drop the Content-Type. In that case decide by the fields of the document.
        if wire.manifests != nil { return MediaType.ociIndex }
        if wire.config != nil && wire.layers != nil { return MediaType.ociManifest }
        return header
    }

    private static func checkCount(_ count: Int, _ digest: Digest) throws(RegistryError) {
        guard count <= maximumEntries else {
            throw RegistryError(.tooLarge, "manifest \(digest) lists \(count) entries, more than \(maximumEntries)")
        }
    }
}
