import Base
import ContentStore
import LayerIndex
import LazyFixtures
import Linux
import SystemPackage
import Testing

@Suite("layer keys") struct LayerKeyTests {
    private static let digests = (0..<4).map { Digest.of([UInt8($0)]) }

    private static let keys = [
        LayerKey(digests[0], .tableOfContents(digests[1], size: 1 << 53)),
        LayerKey(digests[0], .index(digests[1], repository: "registry.example:5000/group/app")),
        LayerKey(digests[0], .unverified(repository: "registry.example/app")), LayerKey(digests[0], .inherited),
    ]

    @Test("are read back from their text", arguments: keys) func readsText(key: LayerKey) {
        let read = LayerKey(text: "\(key)")
        #expect(read == key)
        #expect(read?.pin == key.pin)
        #expect(read?.blob == key.blob)
    }

    @Test("are not read from other texts") func refusesOtherTexts() {
        let (blob, toc) = (Self.digests[0], Self.digests[1])
        for text in [
            "", " ", "\(blob)", "\(blob) ", "\(blob) toc \(toc)", "\(blob) toc \(toc) -1", "\(blob) toc \(toc) 1 ",
            "\(blob) toc x 1", "\(blob) index \(toc)", "\(blob) index \(toc) ", "\(blob) index \(toc) a b",
            "\(blob) unverified", "\(blob) unverified ", "\(blob) inherited ", "\(blob)  inherited", "x inherited",
            "\(blob) other", " \(blob) inherited", "\(blob) inherited\n",
        ] {
            #expect(LayerKey(text: text) == nil, "\(text)")
        }
    }

    @Test("tell layers of one blob apart") func separatesLayers() throws {
        #expect(Set(Self.keys.map(\.id)).count == Self.keys.count)
        let sample = try SampleLayer(seed: 70)
        let toc = LayerKey(sample.digest, .tableOfContents(Self.digests[1], size: 1))
        let index = LayerKey(sample.digest, .index(Self.digests[1], repository: "registry.example/app"))
        try withTemporaryDirectory { root in
            try withStore(root) { (store) throws in
                #expect(store.keys(ofBlob: sample.digest).isEmpty)
                let first = try store.install(toc, index: sample.index)
                #expect(try store.layer(index) == nil)
                let second = try store.install(index, index: sample.index)
                #expect(first !== second)
                try first.publish([0], of: sample)
                #expect(second.presentSet != first.presentSet)
                try store.refuse(index)
                #expect(try store.isRefused(index))
                #expect(try !store.isRefused(toc))
            }
            try withStore(root) { (store) throws in
                #expect(Set(store.keys(ofBlob: sample.digest)) == [toc, index])
                #expect(try store.isRefused(index))
                try store.removeLayer(toc)
                #expect(store.keys(ofBlob: sample.digest) == [index])
                #expect(try store.layer(toc) == nil)
                #expect(try store.layer(index) != nil)
            }
        }
    }

    @Test("that a directory does not have, or that are another's, put it into quarantine")
    func quarantinesWithoutKey() throws {
        let samples = try (71..<74).map { try SampleLayer(seed: $0) }
        try withTemporaryDirectory { root in
            try withStore(root) { (store) throws in
                for sample in samples { _ = try store.install(sample.key, index: sample.index) }
            }
            try Sys.unlink(layerDirectory(root, samples[0]) + "/key")
            try Sys.unlink(layerDirectory(root, samples[1]) + "/key")
            try Sys.writeFile(layerDirectory(root, samples[1]) + "/key", Array("\(samples[2].key)".utf8))
            let reports = Reports()
            try withStore(root, reports: reports) { (store) throws in
                #expect(reports.items.count == 2)
                #expect(try store.layer(samples[0].key) == nil)
                #expect(try store.layer(samples[1].key) == nil)
                #expect(try store.layer(samples[2].key) != nil)
                #expect(store.keys(ofBlob: samples[1].digest).isEmpty)
            }
        }
    }

    /// Turns a store back into one of version 0.1, whose layers had no keys.
    private static func makeOld(_ root: String, _ samples: [SampleLayer]) throws {
        try Sys.makeDirectories(root + "/blobs")
        for sample in samples {
            try Sys.unlink(layerDirectory(root, sample) + "/key")
            try Sys.rename(layerDirectory(root, sample), to: "\(root)/blobs/\(sample.digest.hex)", replacing: false)
        }
        try Sys.makeDirectories("\(root)/chains/\(digests[3].hex)")
        try Sys.writeFile("\(root)/refused/\(samples[1].digest.hex)", [])
    }

    @Test("of layers that were stored without any are made, and the content is kept") func adopts() throws {
        let samples = try (74..<76).map { try SampleLayer(seed: $0) }
        let keys = samples.map { LayerKey($0.digest, .inherited) }
        try withTemporaryDirectory { root in
            try withStore(root) { (store) throws in
                for sample in samples {
                    let layer = try store.install(sample.key, index: sample.index)
                    try layer.publish([1, 2], of: sample)
                    try layer.makeDurable()
                }
            }
            try Self.makeOld(root, samples)
            // The process died after it had moved the first layer.
            try Sys.writeFile("\(root)/blobs/\(samples[0].digest.hex)/key", Array("\(keys[0])".utf8))
            try Sys.rename(
                "\(root)/blobs/\(samples[0].digest.hex)", to: "\(root)/layers/\(keys[0].id.hex)", replacing: false)
            let reports = Reports()
            for _ in 0..<2 {
                try withStore(root, reports: reports) { (store) throws in
                    for (sample, key) in zip(samples, keys) {
                        let layer = try #require(try store.layer(key))
                        #expect(layer.presentSet.isSuperset(of: [1, 2]))
                        try layer.expectTrue(sample)
                        #expect(store.keys(ofBlob: sample.digest) == [key])
                    }
                    #expect(try store.listChains().isEmpty)
                    #expect(try !store.isRefused(keys[0]))
                    #expect(try store.isRefused(keys[1]))
                    #expect(try !Sys.exists(root + "/blobs"))
                    #expect(reports.items.isEmpty)
                }
            }
        }
    }
}
