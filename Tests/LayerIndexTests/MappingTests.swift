import Base
import LayerIndex
import Linux
import Testing

/// Indexes in mapped files.
@Suite struct MappingTests {
    /// Returns the first random layer in which every hard link has a target.
    static func goodLayer() throws -> BuiltLayer? {
        for seed in UInt64(3)..<60 {
            var random = RandomLayer(seed: seed)
            if let layer = try random.layer(300, salt: 1) { return layer }
        }
        return nil
    }

    @Test("a mapped index reads like one in memory") func mappedIndexReadsLikeOneInMemory() throws {
        let layer = try #require(try Self.goodLayer())
        try withTemporaryDirectory { directory in
            try Tools.write(layer.index.tree, to: "\(directory)/tree.erofs")
            try Tools.write(layer.index.chunks, to: "\(directory)/chunks")
            let tree = try TreeImage(mapping: try MappedFile(path: "\(directory)/tree.erofs"))
            let table = try ChunkTable(mapping: try MappedFile(path: "\(directory)/chunks"))
            let expected = layer.reference.listing()
            expected.expectSame(as: try Listing(tree), "mapped", layers: true)
            tree.releaseResidentPages()
            table.releaseResidentPages()
            expected.expectSame(as: try Listing(tree), "after its pages were given back", layers: true)
            let copy = try ChunkTable(bytes: layer.index.chunks)
            #expect((0..<table.chunkCount).allSatisfy { table.chunk($0) == copy.chunk($0) })
            #expect((0..<table.extentCount).allSatisfy { table.extent($0) == copy.extent($0) })
            #expect(tree.byteCount == layer.index.tree.count)
        }
    }

    @Test("rejects an empty file") func rejectsEmptyFile() throws {
        try withTemporaryDirectory { directory in
            try Tools.write([], to: "\(directory)/empty")
            let mapping = try MappedFile(path: "\(directory)/empty")
            var error = #expect(throws: LayerIndexError.self) { try TreeImage(mapping: mapping) }
            #expect(error?.code == .foreign)
            error = #expect(throws: LayerIndexError.self) { try ChunkTable(mapping: mapping) }
            #expect(error?.code == .foreign)
        }
    }
}
