public import Base

/// An image manifest, OCI or Docker schema 2: what Rivulet needs of it. Unknown fields are ignored.
public struct Manifest: Sendable, Hashable {
    /// The digest of its bytes; checked.
    public let digest: Digest
    /// How many bytes these are: what a descriptor of it says.
    public let size: UInt64
    public let mediaType: String
    /// OCI 1.1; `nil` for an ordinary image.
    public let artifactType: String?
    public let config: Descriptor
    /// Bottom layer first. Foreign, encrypted and unknown kinds are listed like the others:
    /// see ``Descriptor/packing``.
    public let layers: [Descriptor]
    public let annotations: [String: String]
    /// What it refers to (OCI 1.1).
    public let subject: Descriptor?
}

/// An image index, OCI or Docker manifest list.
public struct ImageIndex: Sendable, Hashable {
    /// The digest of its bytes; checked.
    public let digest: Digest
    public let mediaType: String
    public let manifests: [Descriptor]
    public let annotations: [String: String]

    /// The manifest for `platform`: of those that fit the one that fits best, of equals the first.
    ///
    /// Entries without a platform count only when they are the index's only entry; BuildKit's attestations
    /// (`unknown/unknown`) never do.
    public func manifest(for platform: Platform) throws(RegistryError) -> Descriptor {
        var best: (descriptor: Descriptor, preference: Int)?
        for descriptor in manifests {
            guard let offered = descriptor.platform, let preference = platform.preference(for: offered) else {
                continue
            }
            if let current = best, current.preference <= preference { continue }
            best = (descriptor, preference)
        }
        if let best { return best.descriptor }
        if manifests.count == 1, let only = manifests.first, only.platform == nil { return only }
        let offered = manifests.prefix(16).map { $0.platform?.description ?? "none" }.joined(separator: ", ")
        throw RegistryError(
            .noMatchingPlatform,
            "index \(digest) has no manifest for \(platform), but for \(quoted(offered, limit: 512))")
    }
}

/// What the bytes behind a manifest URL turned out to be.
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
