public import Base

/// A merger of a chain's layers into the one tree that a container sees.
public enum ChainMerger {
    /// Returns the merged tree of `layers` as an EROFS image. Device slot `i` of the image is `layers[i]`.
    ///
    /// The result equals an overlayfs mount whose lower directories are these layers. If several layers have an entry
    /// of the same name, the uppermost entry wins. Directories of the same name merge instead.
    ///
    /// A merged directory has the attributes and extended attributes of the uppermost layer with an entry for that
    /// directory. Layers that only imply the directory do not count, because containerd gives an implied directory the
    /// attributes from the layers below. In a layer's archive, a directory's entry may come after entries below the
    /// directory. Such a directory also has the extended attributes from the layers below.
    ///
    /// An opaque directory (`trusted.overlay.opaque` = `y`) hides the lower layers' entries at its path. The opaque
    /// mark has no effect on a layer's root. A whiteout (character device 0:0) always hides the lower layers' entries
    /// at its path.
    ///
    /// The result has neither whiteouts nor opaque marks. Hard links within a layer remain links, and the merger
    /// recomputes the link counts.
    ///
    /// - Parameters:
    ///   - layers: the chain's layers, bottom first: the tree of each layer, and the digest of its blob. The tree must
    ///     state the same digest.
    ///   - names: the ``TreeImage/deviceTags`` of the result, one for each layer; `nil` uses the digests of the blobs.
    ///   - deadline: the deadline of the merge, which throws ``LayerIndexErrorCode/deadline`` after it.
    public static func merge(
        _ layers: [(tree: TreeImage, digest: Digest)], names: [Digest]? = nil, limits: IndexLimits = .standard,
        by deadline: WorkDeadline = .never
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
        var meter = WorkMeter(deadline)
        let merged = try TreeMerge.run(layers.map { $0.tree }, limits: limits, meter: meter)
        return try TreeWriter.write(merged, devices: devices, meter: &meter)
    }

    /// Returns an upper bound of the memory in bytes that ``merge(_:names:limits:by:)`` takes for layers whose trees
    /// have `treeBytes` bytes in total. The real need is usually a fifth of it: see ``memory(of:by:)``.
    public static func memoryBound(treeBytes: UInt64) -> UInt64 {
        // The shortest entry of a directory takes 13 bytes: the name of a hard link of one byte.
        treeBytes.times(UInt64(IndexLimits.memoryPerNode / 13 + 4))
    }

    /// Returns the estimated memory in bytes that merging the layers takes. Reads all directories of all layers.
    public static func memory(
        of layers: [TreeImage], by deadline: WorkDeadline = .never
    ) throws(LayerIndexError) -> UInt64 {
        var meter = WorkMeter(deadline)
        var total: UInt64 = 0
        for layer in layers {
            let entries = try layer.entryCount(limits: .standard, &meter)
            // Names, targets and attributes are a part of the tree.
            total +=
                UInt64(entries) * UInt64(IndexLimits.memoryPerNode)
                + UInt64(layer.byteCount) * UInt64(IndexLimits.memoryPerByte)
        }
        return total
    }
}
