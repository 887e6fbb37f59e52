public import Base

/// The parts of an image manifest that Rivulet needs, OCI or Docker schema 2. Unknown fields are ignored.
public struct Manifest: Sendable, Hashable {
    /// The verified digest of the index's bytes.
    public let digest: Digest
    /// The number of the manifest's bytes, as in a descriptor of it.
    public let size: UInt64
    public let mediaType: String
    /// OCI 1.1; `nil` for an ordinary image.
    public let artifactType: String?
    public let config: Descriptor
    /// Bottom layer first. Foreign, encrypted and unknown layers are included: see ``Descriptor/packing``.
    public let layers: [Descriptor]
    public let annotations: [String: String]
    /// The manifest that it refers to (OCI 1.1).
    public let subject: Descriptor?
}

/// An image index, OCI or Docker manifest list.
public struct ImageIndex: Sendable, Hashable {
    /// The verified digest of the index's bytes.
    public let digest: Digest
    public let mediaType: String
    public let manifests: [Descriptor]
    public let annotations: [String: String]

    /// Returns the best manifest for `platform`; among equals, the first.
    ///
    /// An entry without a platform counts only if it is the only one. BuildKit's attestations (`unknown/unknown`) never
    /// count.
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
