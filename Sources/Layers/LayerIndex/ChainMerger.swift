public import Base

/// Merges the layers of a chain into the one tree that a container sees.
public enum ChainMerger {
    /// The merged tree of `layers`, bottom first, as an EROFS image whose device slot `i` is `layers[i]`.
    ///
    /// What overlayfs would show of these layers, one lower directory each: of two entries with one name the upper wins;
    /// directories merge, with the attributes and extended attributes of the upper one, unless it is opaque
    /// (`trusted.overlay.opaque` = `y`); a whiteout (character device 0:0) hides what is below it. The result has
    /// neither whiteouts nor opaque marks. Names of one inode in one layer stay names of one inode; links are counted
    /// anew, over the names that are left.
    ///
    /// - Parameter layers: The tree of each layer and the digest of its blob, which must be the one that the tree names.
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
                throw LayerIndexError(.corrupt, "the tree is not that of layer \(digest)")
            }
            devices.append(TreeWriter.Device(digest: digest, blocks: tree.deviceSizes[0] / UInt64(EROFS.blockSize)))
        }
        // A chain is merged once, and it is seldom that its layers' own trees are read again.
        defer {
            for layer in layers { layer.tree.releaseResidentPages() }
        }
        return try TreeWriter.write(try TreeMerge.run(layers.map { $0.tree }, limits), devices: devices)
    }
}
