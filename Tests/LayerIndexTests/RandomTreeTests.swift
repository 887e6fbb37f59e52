import Base
import LayerIndex
import Testing

/// Random layers against the reference.
@Suite struct RandomTreeTests {
    static let seeds = (0..<40).map { UInt64($0) } + [UInt64.random(in: 1000...UInt64.max)]

    /// Enough of the random layers are valid for the tests below to be meaningful.
    @Test("enough random layers are valid") func enoughRandomLayersAreValid() throws {
        let good = try Self.seeds.count { seed in
            var random = RandomLayer(seed: seed)
            return try random.layer(200, salt: 1) != nil
        }
        #expect(good > 10)
        print("\(good) of \(Self.seeds.count) layers are good")
    }

    /// Checks that the tree places every chunk of a file's pieces correctly.
    static func expectContent(_ layer: BuiltLayer, _ tree: Listing, _ comment: Comment) throws {
        let table = try ChunkTable(bytes: layer.index.chunks)
        for (path, file) in layer.reference.listing().files where !file.pieces.isEmpty {
            let content = try #require(tree.files[path]).content
            #expect(content.count == file.attributes.size)
            #expect(content.offset % 4096 == 0)
            let chunks = table.chunks(overlapping: content)
            #expect(chunks.count == file.pieces.count, comment)
            for (number, piece) in zip(chunks, file.pieces) {
                let chunk = table.chunk(number)
                #expect(chunk.content.offset == content.offset + piece.fileOffset)
                #expect(chunk.content.count == piece.length)
                #expect(chunk.digest == piece.digest)
                #expect(chunk.innerOffset == piece.innerOffset)
                #expect(table.extent(chunk.extent).chunks.contains(number))
            }
        }
    }

    @Test("a random layer equals the reference", arguments: seeds) func randomLayerEqualsReference(seed: UInt64) throws
    {
        let comment: Comment = "seed \(seed)"
        var random = RandomLayer(seed: seed)
        guard let layer = try random.layer(Int(seed % 7) * 60 + 5, salt: 1) else { return }
        let tree = try TreeImage(bytes: layer.index.tree)
        let listing = try Listing(tree)
        layer.reference.listing().expectSame(as: listing, comment, layers: true)
        try Self.expectContent(layer, listing, comment)
        try Tools.expectSound(layer.index.tree, devices: tree.deviceSizes, comment)
    }

    @Test("a random chain equals the reference", arguments: seeds) func randomChainEqualsReference(seed: UInt64) throws
    {
        let comment: Comment = "seed \(seed)"
        var random = RandomLayer(seed: seed &+ 5000)
        var layers: [BuiltLayer] = []
        for number in 0..<Int(seed % 5 + 2) {
            if let layer = try random.layer(60, salt: UInt8(number)) { layers.append(layer) }
        }
        guard !layers.isEmpty else { return }
        let trees = try layers.map { (tree: try TreeImage(bytes: $0.index.tree), digest: $0.digest) }
        let image = try ChainMerger.merge(trees)
        let tree = try TreeImage(bytes: image)
        #expect(tree.deviceTags == layers.map { $0.digest })
        let expected = ReferenceTree.merge(layers.map { $0.reference }).listing()
        expected.expectSame(as: try Listing(tree), comment, layers: true)
        try Tools.expectSound(image, devices: tree.deviceSizes, comment)
        #expect(try ChainMerger.merge(trees) == image, "not the same twice: \(comment)")
    }
}
