import LayerIndex

extension FuzzTarget {
    /// A chunk table that somebody else wrote or a disk damaged. Its checksum is repaired.
    static let chunks = FuzzTarget("FuzzChunks") { input in
        var bytes = FuzzSupport.bytes(input, damaging: FuzzSupport.sample.chunks)
        FuzzSupport.fixChecksum(&bytes, from: 0, to: bytes.count, at: 12)
        guard let table = try? ChunkTable(bytes: bytes) else { return }
        FuzzSupport.walk(table)
    }
}
