import LayerIndex

extension FuzzTarget {
    /// A `tree.erofs` that somebody else wrote or a disk damaged. The superblock's checksum is repaired.
    static let tree = FuzzTarget("FuzzTree") { input in
        var bytes = FuzzSupport.bytes(input, damaging: FuzzSupport.sample.tree)
        // EROFS: the superblock is at 1024, its checksum four bytes further; it covers the rest of the block.
        FuzzSupport.fixChecksum(&bytes, from: 1024, to: 4096, at: 1028)
        guard let tree = try? TreeImage(bytes: bytes) else { return }
        try? tree.verify()
        FuzzSupport.walk(tree)
    }
}
