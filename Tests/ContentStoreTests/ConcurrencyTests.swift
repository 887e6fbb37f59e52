import Base
import ContentStore
import LayerIndex
import LazyFixtures
import Linux
import TestSupport
import Testing

/// An error that makes the separate process of an exit test fail.
private struct Leak: Error {
    let what: String
}

@Suite struct ConcurrencyTests {
    /// Checks that no reader ever sees a wrong byte while workers publish, drop, read, make durable and close files at
    /// once.
    @Test(arguments: [UInt64(70), 71, 72]) func stress(seed: UInt64) throws {
        print("seed \(seed)")
        let sample = try SampleLayer(seed: seed, files: 60, chunkLimit: 6000)
        try withTemporaryDirectory { root in
            try withStore(root, openFiles: 0) { store in
                let layer = try store.install(sample.key, index: sample.index)
                let count = layer.chunks.chunkCount
                let failures = Guarded<[String]>([])
                let reads = Counter()
                let threads = try (0..<6).map { number in
                    try NamedThread(name: "stress-\(number)") {
                        var random = SeededRandom(seed: seed &* 100 &+ UInt64(number))
                        do {
                            for _ in 0..<3000 {
                                let chunk = Int.random(in: 0..<count, using: &random)
                                switch Int.random(in: 0..<100, using: &random) {
                                case 0: try layer.makeDurable()
                                case 1: store.closeFiles(waitsForDisk: true)
                                case 2: store.closeFiles(waitsForDisk: false)
                                case 3...9: layer.drop(chunk)
                                case 10...49: try layer.publish([chunk], of: sample)
                                default:
                                    guard layer.isPresent(chunk) else { continue }
                                    // Another worker may drop the chunk from here on, but its bytes stay right.
                                    reads.add()
                                    if try layer.bytes(ofChunk: chunk) != sample.bytes(chunk) {
                                        failures.withLock { $0.append("chunk \(chunk)") }
                                    }
                                }
                            }
                        } catch {
                            failures.withLock { $0.append("\(error)") }
                        }
                    }
                }
                for thread in threads { thread.join() }
                #expect(failures.withLock { $0 } == [])
                #expect(reads.value > 100)
                try layer.expectTrue(sample)
                let last = layer.presentSet
                try layer.makeDurable()
                #expect(layer.presentSet == last)
            }
            // In this boot and in the next, the store finds the same chunks present.
            let seen = try boots.map { boot in
                try withStore(root, boot: boot) { store in
                    let layer = try #require(try store.layer(sample.key))
                    try layer.expectTrue(sample)
                    return layer.presentSet
                }
            }
            #expect(seen[0] == seen[1])
        }
    }

    /// Publishes the same chunks from many workers, and checks that each is counted once.
    @Test func everyoneBringsTheSame() throws {
        let sample = try SampleLayer(seed: 75, files: 30)
        try withTemporaryDirectory { root in
            try withStore(root) { store in
                let layer = try store.install(sample.key, index: sample.index)
                let failures = Guarded<[String]>([])
                let finishers = Counter()
                let threads = try (0..<8).map { number in
                    try NamedThread(name: "same-\(number)") {
                        do {
                            try layer.publish(0..<layer.chunks.chunkCount, of: sample)
                            if layer.isComplete { finishers.add() }
                        } catch {
                            failures.withLock { $0.append("\(error)") }
                        }
                    }
                }
                for thread in threads { thread.join() }
                #expect(failures.withLock { $0 } == [])
                // A worker may find a chunk that another has stored and not counted yet, but whoever counts last knows.
                #expect(finishers.value >= 1 && layer.isComplete)
                try layer.expectTrue(sample)
            }
        }
    }

    /// Runs in a separate process, because other tests open and close descriptors at the same time.
    @Test func nothingLeaks() async {
        await #expect(processExitsWith: .success) {
            try withTemporaryDirectory { root in
                let samples = try (76..<80).map { try SampleLayer(seed: $0) }
                try withStore(root) { _ in }
                for round in 0..<10 {
                    try withStore(root, boot: boots[round % 2]) { store in
                        for sample in samples {
                            let layer = try store.install(sample.key, index: sample.index)
                            try layer.publish(0..<3, of: sample)
                            _ = try store.installChain(ChainKey(id: sample.digest), tree: sample.index.tree)
                        }
                        _ = try? store.install(samples[0].key, index: samples[1].index)
                        _ = try? store.installChain(ChainKey(id: Digest.of([1])), tree: [1])
                        try store.makeAllDurable()
                        try store.removeLayer(samples[1].key)
                    }
                    // Damage a different kind of file in each round.
                    let names = ["tree.erofs", "chunks", "content", "present"]
                    try Sys.writeFile("\(layerDirectory(root, samples[2]))/\(names[round % 4])", [1, 2, 3])
                }
                let files = try Sys.list("/proc/self/fd").compactMap { entry in
                    // The listing has closed its own descriptor by now.
                    (try? Sys.readLink("/proc/self/fd/\(entry.text)")).map { String(decoding: $0, as: UTF8.self) }
                }.filter { $0.hasPrefix(root) }
                guard files.isEmpty else { throw Leak(what: "\(files)") }
                let maps = try Sys.readFile("/proc/self/maps", limit: 1 << 24)
                guard !String(decoding: maps, as: UTF8.self).contains(root) else { throw Leak(what: "a mapping") }
            }
        }
    }
}
