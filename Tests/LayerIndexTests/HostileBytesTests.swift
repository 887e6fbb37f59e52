import Base
import LayerIndex
import TestSupport
import Testing

/// Damaged indexes. They give an error or another tree, but never a trap, and never more work than the limits allow.
@Suite struct HostileBytesTests {
    static let seeds = (0..<20).map { UInt64($0) } + [UInt64.random(in: 1000...UInt64.max)]

    /// Computes a CRC-32C, bit by bit.
    static func checksum(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var state = UInt32.max
        for byte in bytes {
            state ^= UInt32(byte)
            for _ in 0..<8 { state = state & 1 == 0 ? state >> 1 : state >> 1 ^ 0x82F6_3B78 }
        }
        return state
    }

    /// Recomputes the checksum of a tree's superblock.
    static func repairTree(_ tree: inout [UInt8]) {
        guard tree.count >= 4096 else { return }
        tree.setLittleEndian(UInt32(0), at: 1028)
        tree.setLittleEndian(checksum(tree[1024..<4096]), at: 1028)
    }

    static func repairTable(_ table: inout [UInt8]) {
        guard table.count >= 16 else { return }
        table.setLittleEndian(UInt32(0), at: 12)
        table.setLittleEndian(checksum(table), at: 12)
    }

    /// Changes a few bytes, anywhere or in the first `head` bytes; occasionally truncates.
    static func damage(_ bytes: inout [UInt8], head: Int, _ random: inout SeededRandom) {
        if random.next() % 10 == 0 { bytes.removeLast(Int.random(in: 0...bytes.count, using: &random)) }
        guard !bytes.isEmpty else { return }
        for _ in 0..<Int.random(in: 1...6, using: &random) {
            let limit = random.next() % 3 == 0 ? min(head, bytes.count) : bytes.count
            let position = Int.random(in: 0..<limit, using: &random)
            switch random.next() % 3 {
            case 0: bytes[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 1: bytes[position] = [0, 1, 0x7F, 0x80, 0xFF].randomElement(using: &random) ?? 0
            default:
                // Copies a run from elsewhere: valid records in wrong places.
                let source = Int.random(in: 0..<bytes.count, using: &random)
                let count = min(Int.random(in: 1...64, using: &random), bytes.count - max(source, position))
                bytes.replaceSubrange(position..<position + count, with: Array(bytes[source..<source + count]))
            }
        }
    }

    /// Reads everything reachable through every accessor. Returns true if all of it was valid.
    static func readAll(_ bytes: [UInt8]) -> Bool {
        var limits = IndexLimits.standard
        limits.entryCount = 20_000
        limits.depth = 64
        do throws(LayerIndexError) {
            let tree = try TreeImage(bytes: bytes)
            let whole = Result { () throws(LayerIndexError) in try tree.verify(limits: limits) }
            // Read inodes in other orders than that of verification, too.
            for inode in stride(from: 0, to: UInt64(bytes.count / 32 + 10), by: bytes.count / 8192 + 1) {
                _ = try? tree.attributes(inode)
                _ = try? tree.content(inode)
                _ = try? tree.withSymbolicLink(inode) { $0.count }
                _ = try? tree.forEachEntry(inode, from: inode) { _, _, _, _ in true }
                _ = try? tree.forEachExtendedAttribute(inode) { _, _ in true }
                _ = try? [UInt8]("a.b".utf8).withUnsafeBytes { try tree.lookup(inode, $0) }
            }
            for inode in [UInt64.max, UInt64.max / 32, 1 << 32, 1 << 63] { _ = try? tree.attributes(inode) }
            if let digest = tree.deviceTags.first, tree.deviceTags.count == 1 {
                _ = try? ChainMerger.merge([(tree, digest), (tree, digest)], limits: limits)
            }
            try whole.get()
            return true
        } catch {
            return false
        }
    }

    @Test("survives damaged trees", arguments: seeds) func survivesDamagedTrees(seed: UInt64) throws {
        var random = RandomLayer(seed: seed)
        guard let layer = try random.layer(60, salt: 1) else { return }
        #expect(Self.readAll(layer.index.tree))
        var damage = SeededRandom(seed: seed)
        var refused = 0
        // The fuzzer FuzzTree goes on from here.
        for _ in 0..<20 {
            var bytes = layer.index.tree
            Self.damage(&bytes, head: 1300, &damage)
            if damage.next() % 8 != 0 { Self.repairTree(&bytes) }
            if !Self.readAll(bytes) { refused += 1 }
        }
        #expect(refused > 2, "seed \(seed)")
    }

    @Test("survives damaged tables", arguments: seeds) func survivesDamagedTables(seed: UInt64) throws {
        var random = RandomLayer(seed: seed)
        guard let layer = try random.layer(60, salt: 1) else { return }
        var damage = SeededRandom(seed: seed)
        for _ in 0..<200 {
            var bytes = layer.index.chunks
            Self.damage(&bytes, head: 400, &damage)
            Self.repairTable(&bytes)
            guard let table = try? ChunkTable(bytes: bytes) else { continue }
            // An accepted table keeps every promise.
            var end: UInt64 = 0
            for number in 0..<table.chunkCount {
                let chunk = table.chunk(number)
                #expect(chunk.content.offset >= end && !chunk.content.isEmpty && chunk.content.end <= table.contentSize)
                end = chunk.content.end
                let extent = table.extent(chunk.extent)
                #expect(extent.chunks.contains(number) && extent.blob.end <= table.blobSize)
                #expect(chunk.isZeros || chunk.innerOffset + chunk.content.count <= extent.decodedLength)
                #expect(table.chunks(overlapping: chunk.content) == number..<number + 1)
            }
        }
    }

    @Test("rejects every truncation") func rejectsEveryTruncation() throws {
        let index = try Layers.index([.file("d/f", pieces: [(0, 0, 10)]), .symlink("s", to: "t")], extents: 1)
        for count in stride(from: 0, to: index.tree.count, by: 61) {
            var bytes = Array(index.tree[..<count])
            Self.repairTree(&bytes)
            #expect(throws: LayerIndexError.self) { try TreeImage(bytes: bytes) }
        }
        for count in 0..<index.chunks.count {
            var bytes = Array(index.chunks[..<count])
            Self.repairTable(&bytes)
            #expect(throws: LayerIndexError.self) { try ChunkTable(bytes: bytes) }
        }
    }

    /// Without a repaired checksum, every flipped bit in a chunk table or superblock is detected.
    @Test("detects every flipped bit") func detectsEveryFlippedBit() throws {
        let index = try Layers.index([.file("f", pieces: [(0, 0, 10)])], extents: 1)
        for bit in 0..<index.chunks.count * 8 {
            var bytes = index.chunks
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: LayerIndexError.self) { try ChunkTable(bytes: bytes) }
        }
        for bit in 1024 * 8..<1200 * 8 {
            var bytes = index.tree
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: LayerIndexError.self) { try TreeImage(bytes: bytes) }
        }
    }

    @Test("rejects foreign indexes") func rejectsForeignIndexes() throws {
        let index = try Layers.index([.file("f")])
        for bytes in [[], [UInt8](repeating: 0, count: 8192), index.chunks] {
            #expect(throws: LayerIndexError.self) { try TreeImage(bytes: bytes) }
        }
        var other = index.tree
        other[1024 + 64] = 0x58
        Self.repairTree(&other)
        var error = #expect(throws: LayerIndexError.self) { try TreeImage(bytes: other) }
        #expect(error?.code == .foreign)
        var table = index.chunks
        table[8] = 3
        Self.repairTable(&table)
        error = #expect(throws: LayerIndexError.self) { try ChunkTable(bytes: table) }
        #expect(error?.code == .foreign)
    }

    /// A directory that contains itself, many times.
    @Test("bounds a tree that contains itself") func boundsTreeThatContainsItself() throws {
        let index = try Layers.index((0..<8).map { .directory("d/e\($0)") } + [.directory("x", mode: 0o700)])
        let tree = try TreeImage(bytes: index.tree)
        let child = try #require(try [UInt8]("d".utf8).withUnsafeBytes { try tree.lookup(tree.rootInode, $0) })
        var bytes = index.tree
        // Every entry that refers to one of d's directories refers to d.
        for number in 0..<8 {
            let inode = try #require(
                try [UInt8]("e\(number)".utf8).withUnsafeBytes { try tree.lookup(child, $0) })
            let pattern = withUnsafeBytes(of: inode.littleEndian) { Array($0) }
            for offset in stride(from: Int(child) * 32, to: bytes.count - 8, by: 4)
            where bytes[offset..<offset + 8].elementsEqual(pattern) {
                bytes.setLittleEndian(child, at: offset)
            }
        }
        Self.repairTree(&bytes)
        let looped = try TreeImage(bytes: bytes)
        #expect(throws: LayerIndexError.self) { try looped.verify() }
        var limits = IndexLimits.standard
        limits.entryCount = 50_000
        let error = #expect(throws: LayerIndexError.self) {
            try ChainMerger.merge([(looped, Layers.digest)], limits: limits)
        }
        #expect(error?.code == .limit)
    }
}
