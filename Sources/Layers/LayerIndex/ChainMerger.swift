public import Base

/// A merger of a chain's layers into the one tree that a container sees.
public enum ChainMerger {
    /// Returns the merged tree of `layers` as an EROFS image. Device slot `i` of the image is `layers[i]`.
    ///
    /// The result equals overlayfs over these layers, one lower directory each. If several layers have an entry of the
    /// same name, the entry of the uppermost layer wins, but directories merge. A merged directory has the attributes
    /// and extended attributes of the uppermost layer with an entry for that directory. Layers that only imply the
    /// directory do not count, because containerd gives an implied directory the attributes from the layers below. A
    /// directory that was implied before its entry also has the extended attributes from the layers below.
    ///
    /// An opaque directory (`trusted.overlay.opaque` = `y`) hides the lower layers' entries at its path, unless it is a
    /// layer's root. A whiteout (character device 0:0) always hides the lower layers' entries at its path.
    ///
    /// The result has neither whiteouts nor opaque marks. Hard links within a layer remain links, and the merger
    /// recomputes the link counts.
    ///
    /// - Parameters:
    ///   - layers: the chain's layers, bottom first: the tree of each, and the digest of its blob, which must match the
    ///     digest in the tree.
    ///   - names: the device tags of the result, one per layer; `nil` for the digests of the blobs.
    public static func merge(
        _ layers: [(tree: TreeImage, digest: Digest)], names: [Digest]? = nil, limits: IndexLimits = .standard
    ) throws(LayerIndexError) -> [UInt8] {
        guard !layers.isEmpty else { throw LayerIndexError(.invalidEntry, "a chain of no layers") }
        let limits = limits.clamped()
        guard layers.count <= limits.layerCount else {
            throw LayerIndexError(.limit, "a chain of \(layers.count) layers")
        }
        let names = names ?? layers.map(\.digest)
        guard names.count == layers.count else {
            throw LayerIndexError(.invalidEntry, "\(names.count) names for \(layers.count) layers")
        }
        var devices: [TreeWriter.Device] = []
        for ((tree, digest), name) in zip(layers, names) {
            guard tree.deviceTags == [digest] else {
                throw LayerIndexError(.corrupt, "the tree belongs to another layer than \(digest)")
            }
            devices.append(TreeWriter.Device(digest: name, blocks: tree.deviceSizes[0] / UInt64(EROFS.blockSize)))
        }
        // A chain is merged once, and its layers' own trees are rarely read again.
        defer {
            for layer in layers { layer.tree.releaseResidentPages() }
        }
        return try TreeWriter.write(try TreeMerge.run(layers.map { $0.tree }, limits), devices: devices)
    }
}
