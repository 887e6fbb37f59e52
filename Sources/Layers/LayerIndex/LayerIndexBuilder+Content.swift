import Base

extension LayerIndexBuilder {
    /// Assigns every file its position in the content space, and writes the chunk table file.
    ///
    /// - Parameter meter: the meter that stops the work at its deadline.
    /// - Returns: the chunk table file, and the size of the content space in blocks.
    mutating func layOutContent(_ meter: inout WorkMeter) throws(LayerIndexError) -> (table: [UInt8], blocks: UInt64) {
        let order = try extentsInBlobOrder()
        try meter.check()
        var rank = [UInt32](repeating: 0, count: extents.count)
        for (position, extent) in order.enumerated() { rank[Int(extent)] = UInt32(position) }

        var writer = ChunkTableWriter(chunkCapacity: pieces.count, extentCapacity: extents.count)
        var block: UInt64 = 0
        for (_, index) in filesInBlobOrder(rank) {
            let node = arena.nodes[Int(index)]
            let blocks = EROFS.blocks(node.size)
            guard block + blocks < UInt64(EROFS.noBlock) else {
                throw LayerIndexError(.limit, "the layer's files take more than 16 TiB")
            }
            guard blocks <= 1 << 31 else { throw LayerIndexError(.limit, "a file of \(node.size) bytes") }
            var offset = block * UInt64(EROFS.blockSize)
            let first = Int(node.payload)
            try meter.count()
            for piece in pieces[first..<first + Int(node.extra)] {
                try meter.count()
                if !piece.isZeros {
                    try writer.enter(rank[Int(piece.extent)], extents[Int(piece.extent)])
                }
                try writer.append(piece, at: offset)
                offset += UInt64(piece.length)
            }
            arena.nodes[Int(index)].payload = UInt32(block)
            arena.nodes[Int(index)].extra = 0
            arena.nodes[Int(index)].flags.insert(.hasContent)
            block += blocks
        }
        let table = writer.finish(
            blobDigest: blobDigest, blobSize: blobSize, contentSize: block * UInt64(EROFS.blockSize),
            prefetch: prefetch,
            windows: windows)
        return (table, block)
    }

    /// Returns the numbers of the extents, in the order in which the extents lie in the blob.
    private func extentsInBlobOrder() throws(LayerIndexError) -> [UInt32] {
        var order = (0..<UInt32(extents.count)).map { (offset: extents[Int($0)].range.offset, extent: $0) }
        order.sort { $0.offset < $1.offset }
        var end: UInt64 = 0
        for (offset, extent) in order {
            guard offset >= end else {
                throw LayerIndexError(.unordered, "extents overlap at \(offset) of the blob")
            }
            end = extents[Int(extent)].range.end
        }
        return order.map { $0.extent }
    }

    /// Returns the files with content, in the order in which they start in the blob. A file starts at its first piece
    /// that is not zeros. Files of zeros come last.
    ///
    /// The key of a file encodes the position of that first piece. The upper 32 bits are the rank of the piece's
    /// extent, and the lower 32 bits are the piece's offset in the decoded extent.
    ///
    /// - Parameter rank: for each extent number, the position of the extent in blob order.
    private func filesInBlobOrder(_ rank: [UInt32]) -> [(key: UInt64, node: UInt32)] {
        var files: [(key: UInt64, node: UInt32)] = []
        for index in arena.nodes.indices {
            let node = arena.nodes[index]
            guard node.mode & 0xF000 == FileKind.regular.modeBits, node.extra > 0, !node.flags.contains(.dead) else {
                continue
            }
            let first = Int(node.payload)
            var key = UInt64.max
            if let piece = pieces[first..<first + Int(node.extra)].first(where: { !$0.isZeros }) {
                key = UInt64(rank[Int(piece.extent)]) << 32 | UInt64(piece.innerOffset)
            }
            files.append((key, UInt32(index)))
        }
        files.sort { $0.key != $1.key ? $0.key < $1.key : $0.node < $1.node }
        return files
    }
}
