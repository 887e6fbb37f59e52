public import Base
public import ContentStore
import LayerIndex
public import LazyFileSystem
import Linux

/// A content store in its own directory, with a fake source and a file system on top of both.
public final class StoreFixture: Sendable {
    public let root: String
    public let store: ContentStore
    public let source: FakeSource
    public let fileSystem: LazyFileSystem

    /// Creates the fixture.
    ///
    /// - Parameter root: an existing directory that the caller removes.
    public init(root: String, source: FakeSource = FakeSource()) throws {
        self.root = root
        self.source = source
        var options = ContentStore.Options()
        options.isScratch = true
        store = try ContentStore(root: root + "/store", options: options)
        fileSystem = LazyFileSystem(source: source) { .of(directory: root) }
    }

    /// Installs the layers' indexes in the store.
    public func install(_ layers: [LayerFixture]) throws -> [StoredLayer] {
        try layers.map { layer in
            source.add(layer)
            return try store.install(layer.key, index: try layer.index())
        }
    }

    /// Mounts the chain of `layers`, bottom first.
    ///
    /// - Returns: the chain's ID and its layers.
    @discardableResult
    public func mount(_ layers: [LayerFixture], slot: UInt32 = 1) throws -> (id: Digest, layers: [StoredLayer]) {
        let contents = try install(layers)
        let merged = try ContentStore.mergedTree(of: contents)
        let id = Digest.of(contents.flatMap { Array($0.digest.description.utf8) })
        try fileSystem.addChain(id, tree: TreeImage(bytes: merged), layers: contents, slot: slot)
        return (id, contents)
    }

    /// Publishes every chunk of `layers`.
    public func complete(_ layers: [StoredLayer]) throws {
        for layer in layers { try source.publish(layer, 0..<layer.chunks.chunkCount) }
    }
}

extension StoreCapacity {
    /// Returns the capacity of the file system that holds `directory`.
    public static func of(directory: String) -> StoreCapacity? {
        guard let status = try? Sys.statfs(directory) else { return nil }
        return StoreCapacity(
            blockSize: UInt32(clamping: status.blockSize), blocks: status.blocks, freeBlocks: status.freeBlocks,
            availableBlocks: status.availableBlocks, files: status.files, freeFiles: status.freeFiles)
    }
}
