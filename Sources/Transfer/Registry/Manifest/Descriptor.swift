public import Base

/// A content descriptor (OCI image-spec descriptor.md). Unknown fields are ignored.
public struct Descriptor: Sendable, Hashable {
    public var mediaType: String
    public var digest: Digest
    /// In bytes; never negative in a decoded descriptor.
    public var size: UInt64
    public var annotations: [String: String]
    /// Other locations of the blob. Never followed: such a layer is reported as ``LayerPacking/foreign``.
    public var urls: [String]
    /// Only set in an index.
    public var platform: Platform?
    /// Only set in an index: the kind of artifact (OCI 1.1).
    public var artifactType: String?
    /// The bytes themselves, base64-encoded by the author in the manifest. Not checked against ``digest``.
    public var data: String?

    public init(
        mediaType: String, digest: Digest, size: UInt64, annotations: [String: String] = [:], urls: [String] = [],
        platform: Platform? = nil, artifactType: String? = nil, data: String? = nil
    ) {
        self.mediaType = mediaType
        self.digest = digest
        self.size = size
        self.annotations = annotations
        self.urls = urls
        self.platform = platform
        self.artifactType = artifactType
        self.data = data
    }

    /// The packing of a layer's bytes.
    public var packing: LayerPacking { urls.isEmpty ? LayerPacking(mediaType: mediaType) : .foreign }
}

extension Descriptor: Decodable {
    private enum Key: String, CodingKey {
        case mediaType, digest, size, annotations, urls, platform, artifactType, data
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: Key.self)
        mediaType = try values.decodeIfPresent(String.self, forKey: .mediaType) ?? ""
        digest = try values.decode(Digest.self, forKey: .digest)
        size = try values.decode(UInt64.self, forKey: .size)
        annotations = try values.decodeIfPresent([String: String].self, forKey: .annotations) ?? [:]
        urls = try values.decodeIfPresent([String].self, forKey: .urls) ?? []
        platform = try values.decodeIfPresent(Platform.self, forKey: .platform)
        artifactType = try values.decodeIfPresent(String.self, forKey: .artifactType)
        data = try values.decodeIfPresent(String.self, forKey: .data)
    }
}
