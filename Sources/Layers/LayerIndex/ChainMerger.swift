public import Base

/// A merger of a chain's layers into the one tree that a container sees.
public enum ChainMerger {
    /// Returns the merged tree of `layers`, bottom first, as an EROFS image whose device slot `i` is `layers[i]`.
    ///
    /// The result equals overlayfs over these layers, one lower directory each. If several layers have an entry of the
    /// same name, the uppermost one wins. Directories merge, with the upper one's attributes and extended attributes,
    /// unless the upper one is opaque (`trusted.overlay.opaque` = `y`). A whiteout (character device 0:0) hides the
    /// entries below it.
    ///
    /// The result has neither whiteouts nor opaque marks. Hard links within a layer remain links, and the merger counts
    /// their remaining names again.
    ///
    /// - Parameter layers: the tree of each layer, and the digest of its blob, which must match the digest in the tree.
    public static func merge(
        _ layers: [(tree: TreeImage, digest: Digest)], limits: IndexLimits = .standard
    ) throws(LayerIndexError) -> [UInt8] {
        guard !layers.isEmpty else { throw LayerIndexError(.invalidEntry, "a chain of no layers") }
        let limits = limits.clamped()
        guard layers.count <= limits.layerCount else {
            throw LayerIndexError(.limit, "a chain of \(layers.count) layers")
        }
        var devices: [TreeWriter.Device] = []
        for (tree, digest) in layers {
            guard tree.deviceTags == [digest] else {
                throw LayerIndexError(.corrupt, "the tree belongs to another layer than \(digest)")
            }
            devices.append(TreeWriter.Device(digest: digest, blocks: tree.deviceSizes[0] / UInt64(EROFS.blockSize)))
        }
        // A chain is merged once, and its layers' own trees are rarely read again.
        defer {
            for layer in layers { layer.tree.releaseResidentPages() }
        }
        return try TreeWriter.write(try TreeMerge.run(layers.map { $0.tree }, limits), devices: devices)
    }
}
