public import Base

/// A document that a registry serves under a tag or digest: a manifest or an index.
public enum ManifestDocument: Sendable, Hashable {
    case image(Manifest)
    case index(ImageIndex)

    public var digest: Digest {
        switch self {
        case .image(let manifest): manifest.digest
        case .index(let index): index.digest
        }
    }

    public var mediaType: String {
        switch self {
        case .image(let manifest): manifest.mediaType
        case .index(let index): index.mediaType
        }
    }
}
