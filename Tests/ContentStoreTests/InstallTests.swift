import Base
import ContentStore
import Glibc
import LayerIndex
import Linux
import Testing

@Suite struct InstallTests {
    @Test func openedOnceAndFoundAgain() throws {
        let sample = try SampleLayer(seed: 30)
        try withTemporaryDirectory { root in
            let reports = Reports()
            try withStore(root, reports: reports) { store in
                let layer = try store.install(sample.key, index: sample.index)
                #expect(try store.layer(sample.key) === layer)
                #expect(try store.install(sample.key, index: sample.index) === layer)
                // The store ignores the new index, because the layer is already installed.
                #expect(try store.install(sample.key, index: LayerIndexBytes(tree: [], chunks: [])) === layer)
                #expect(layer.contentPath == layerDirectory(root, sample) + "/content")
                #expect(try Sys.stat(layer.contentPath).size == layer.chunks.contentSize)
                #expect(try Sys.list(root + "/installing").isEmpty)
            }
            try withStore(root, boot: boots[1], reports: reports) { store in
                let layer = try #require(try store.layer(sample.key))
                #expect(layer.digest == sample.digest)
                #expect(layer.chunks.chunkCount == sample.table.chunkCount)
                #expect(layer.tree.deviceTags == [sample.digest])
            }
            #expect(reports.items.isEmpty)
        }
    }

    @Test func closedWhenNobodyHoldsIt() throws {
        let sample = try SampleLayer(seed: 31)
        try withTemporaryDirectory { root in
            try withStore(root) { store in
                weak var gone: StoredLayer?
                do {
                    let layer = try store.install(sample.key, index: sample.index)
                    try layer.publish([1], of: sample)
                    gone = layer
                }
                #expect(gone == nil)
                let layer = try #require(try store.layer(sample.key))
                #expect(layer.presentSet == [1])
            }
        }
    }

    @Test func aForeignIndexIsRefused() throws {
        let sample = try SampleLayer(seed: 32)
        let other = try SampleLayer(seed: 33)
        try withTemporaryDirectory { root in
            let reports = Reports()
            try withStore(root, reports: reports) { store in
                let bad = [
                    other.index, LayerIndexBytes(tree: [], chunks: []),
                    LayerIndexBytes(tree: other.index.tree, chunks: sample.index.chunks),
                    LayerIndexBytes(tree: sample.index.tree, chunks: Array(sample.index.chunks.dropLast())),
                    LayerIndexBytes(tree: Array(sample.index.tree.prefix(1024)), chunks: sample.index.chunks),
                ]
                for index in bad {
                    #expect(code { _ = try store.install(sample.key, index: index) } == .badIndex)
                    #expect(try store.layer(sample.key) == nil)
                }
                #expect(try Sys.list(root + "/layers").isEmpty && Sys.list(root + "/installing").isEmpty)
                // None of the bad indexes prevents the installation of the right one.
                _ = try store.install(sample.key, index: sample.index)
            }
            #expect(reports.items.isEmpty)
        }
    }

    /// Installs and opens the same few layers and chains from many threads at once.
    @Test func concurrentInstalls() throws {
        let samples = try (40..<44).map { try SampleLayer(seed: $0) }
        try withTemporaryDirectory { root in
            try withStore(root) { store in
                let held = Guarded<[Digest: [StoredLayer]]>([:])
                let chains = Guarded<[TreeImage]>([])
                let failures = Guarded<[String]>([])
                let threads = try (0..<8).map { number in
                    try NamedThread(name: "install-\(number)") {
                        do {
                            for step in 0..<samples.count {
                                let sample = samples[(step + number) % samples.count]
                                let layer = try store.install(sample.key, index: sample.index)
                                held.withLock { $0[sample.digest, default: []].append(layer) }
                                let tree = try store.installChain(
                                    ChainKey(id: samples[0].digest), tree: samples[0].index.tree)
                                chains.withLock { $0.append(tree) }
                            }
                        } catch {
                            failures.withLock { $0.append("\(error)") }
                        }
                    }
                }
                for thread in threads { thread.join() }
                #expect(failures.withLock { $0 } == [])
                for sample in samples {
                    let layers = held.withLock { $0[sample.digest] ?? [] }
                    #expect(layers.count == 8)
                    #expect(layers.allSatisfy { $0 === layers.first })
                }
                let trees = chains.withLock { $0 }
                #expect(trees.count == 32 && trees.allSatisfy { $0 === trees.first })
                #expect(try Sys.list(root + "/installing").isEmpty)
            }
        }
    }

    @Test func chainsComeUpFromDiskAlone() throws {
        let samples = try (45..<48).map { try SampleLayer(seed: $0) }
        let id = samples.reduce(nil) { ChainKey(parent: $0, layer: $1.key) }!
        try withTemporaryDirectory { root in
            try withStore(root) { store in
                #expect(try store.chain(id) == nil)
                let layers = try samples.map { try store.install($0.key, index: $0.index) }
                let chain = try store.installChain(id, tree: try ContentStore.mergedTree(of: layers))
                #expect(try store.chain(id) === chain)
                #expect(
                    code { _ = try store.installChain(ChainKey(id: Digest.of([9])), tree: [1, 2, 3]) } == .badIndex)
            }
            try withStore(root, boot: boots[1]) { store in
                let chain = try #require(try store.chain(id))
                #expect(chain.deviceTags == samples.map(\.key.id))
                for sample in samples { #expect(try store.layer(sample.key) != nil) }
                #expect(try store.listChains().map(\.id) == [id.id])
                try store.removeChain(id)
                try store.removeChain(id)
                #expect(try store.chain(id) == nil)
                #expect(try store.listChains().isEmpty)
                // Holders of the open tree can keep using it.
                #expect(try chain.attributes(chain.rootInode).kind == .directory)
            }
        }
    }

    @Test func oneInstance() throws {
        try withTemporaryDirectory { root in
            try withStore(root) { _ in
                do {
                    try withStore(root) { _ in }
                    Issue.record("a second store opened")
                } catch let error as ContentStoreError {
                    #expect(error.code == .locked)
                    #expect(error.message.contains(root) && error.message.contains("process \(getpid())"))
                }
            }
            // A layer that is still open keeps the store locked, because it may still write.
            let sample = try SampleLayer(seed: 50)
            do {
                let layer = try withStore(root) { try $0.install(sample.key, index: sample.index) }
                #expect(code { try withStore(root) { _ in } } == .locked)
                try layer.publish([0], of: sample)
            }
            try withStore(root) { store in
                let layer = try #require(try store.layer(sample.key))
                #expect(layer.presentSet == [0])
            }
        }
    }

    @Test func listsAndRemoves() throws {
        let samples = try (51..<54).map { try SampleLayer(seed: $0, files: 40) }
        try withTemporaryDirectory { root in
            try withStore(root) { store in
                for sample in samples { _ = try store.install(sample.key, index: sample.index) }
                let layer = try #require(try store.layer(samples[0].key))
                try layer.publish(0..<layer.chunks.chunkCount, of: samples[0])
                try layer.makeDurable()
                let usages = try store.listLayers()
                #expect(usages.map(\.id) == samples.map(\.key.id).sorted())
                for usage in usages {
                    let isFull = usage.id == layer.key.id
                    #expect(usage.isOpen == isFull)
                    #expect(isFull ? usage.contentBytes >= layer.presentBytes : usage.contentBytes == 0)
                    #expect(usage.allocatedBytes > usage.contentBytes)
                    let key = try #require(samples.map(\.key).first { $0.id == usage.id })
                    #expect(try store.usage(ofLayer: key) == usage)
                }
                #expect(code { try store.removeLayer(layer.key) } == .inUse)
                try store.removeLayer(samples[1].key)
                try store.removeLayer(samples[1].key)
                #expect(try store.layer(samples[1].key) == nil)
                #expect(try store.usage(ofLayer: samples[1].key) == nil)
                // The layer can be installed again, and is then empty.
                #expect(try store.install(samples[1].key, index: samples[1].index).presentCount == 0)
                try layer.expectTrue(samples[0])
            }
        }
    }

    /// Checks that a start removes leftovers of interrupted installs and removals. It quarantines foreign files and
    /// keeps a limited number of them.
    @Test func startsClean() throws {
        try withTemporaryDirectory { root in
            try withStore(root) { _ in }
            try Sys.makeDirectories(root + "/installing/new-x/deep/er")
            try Sys.writeFile(root + "/installing/new-x/tree.erofs", [1, 2, 3])
            let names = (0..<12).map { "foreign-\($0)" }
            for name in names { try Sys.makeDirectories("\(root)/layers/\(name)/content") }
            try Sys.writeFile(root + "/chains/README", [1])
            let reports = Reports()
            try withStore(root, reports: reports) { _ in }
            #expect(try Sys.list(root + "/installing").isEmpty)
            #expect(try Sys.list(root + "/layers").isEmpty && Sys.list(root + "/chains").isEmpty)
            #expect(reports.items.count == 13)
            #expect(try Sys.list(root + "/set-aside").count == 8)
            let last = try #require(reports.items.last?.movedTo)
            #expect(try Sys.exists(last))
        }
    }
}
