public import Base

/// The parts of an image manifest (OCI or Docker schema 2) that Rivulet needs. The decoder ignores unknown fields.
public struct Manifest: Sendable, Hashable {
    /// The verified digest of the manifest's bytes.
    public let digest: Digest
    /// The size of the manifest in bytes.
    public let size: UInt64
    public let mediaType: String
    /// The type of the artifact (OCI 1.1); `nil` for an ordinary image.
    public let artifactType: String?
    public let config: Descriptor
    /// The layers, bottom first. Foreign, encrypted and unknown layers are included: see ``Descriptor/packing``.
    public let layers: [Descriptor]
    public let annotations: [String: String]
    /// The manifest to which this manifest refers (OCI 1.1); `nil` if it refers to none.
    public let subject: Descriptor?
}

/// An image index in OCI's format, or a Docker manifest list.
public struct ImageIndex: Sendable, Hashable {
    /// The verified digest of the index's bytes.
    public let digest: Digest
    public let mediaType: String
    public let manifests: [Descriptor]
    public let annotations: [String: String]

    /// Returns the best manifest for `platform`. If several manifests are equally good, the first one wins.
    ///
    /// An entry without a platform matches only if the index has no other entry. BuildKit's attestations
    /// (`unknown/unknown`) never match.
    ///
    /// - Throws: `noMatchingPlatform` if no manifest is for `platform`.
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
            "index \(digest) has no manifest for \(platform), only for \(quoted(offered, limit: 512))")
    }
}
