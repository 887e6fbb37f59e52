public import Base

/// A content descriptor (OCI image-spec descriptor.md). The decoder ignores unknown fields.
public struct Descriptor: Sendable, Hashable {
    /// The largest size in a descriptor, in bytes: the largest integer that every JSON library keeps exactly.
    public static let maximumSize: UInt64 = 1 << 53

    public var mediaType: String
    public var digest: Digest
    /// The size of the content in bytes. Decoding fails if it is negative or exceeds ``maximumSize``.
    public var size: UInt64
    public var annotations: [String: String]
    /// Other locations of the blob. The client never uses them: a layer with URLs has the packing
    /// ``LayerPacking/foreign``.
    public var urls: [String]
    /// The platform of the image; set only in an index.
    public var platform: Platform?
    /// The type of the artifact (OCI 1.1); set only in an index.
    public var artifactType: String?
    /// The bytes of the blob as base64, if the author embedded them in the manifest; else `nil`. The decoder does not
    /// check them against ``digest``.
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

    /// The format of the layer's blob, or the reason why Rivulet does not stream the layer. The value follows from
    /// ``urls`` and ``mediaType``.
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
        guard size <= Self.maximumSize else {
            throw DecodingError.dataCorruptedError(
                forKey: .size, in: values, debugDescription: "\(digest) has \(size) bytes, \(Self.maximumSize) at most")
        }
        annotations = try values.decodeIfPresent([String: String].self, forKey: .annotations) ?? [:]
        urls = try values.decodeIfPresent([String].self, forKey: .urls) ?? []
        platform = try values.decodeIfPresent(Platform.self, forKey: .platform)
        artifactType = try values.decodeIfPresent(String.self, forKey: .artifactType)
        data = try values.decodeIfPresent(String.self, forKey: .data)
    }
}
