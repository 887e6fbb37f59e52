import Base
import Codecs
import ContentStore
import LayerIndex
import LazyFixtures
import Linux
import TestSupport
import Testing

@Suite("eviction") struct EvictionTests {
    /// A layer of files with chunks of 64 KiB, which are whole blocks.
    private static func layer(files: Int = 8, seed: UInt64 = 1) -> LayerFixture {
        LayerFixture(
            (0..<files).map {
                .init(bytes: Samples.noise(bytes: 128 << 10, seed: seed &* 100 &+ UInt64($0)), chunkSize: 64 << 10)
            }, codec: .raw)
    }

    private static func options(quota: UInt64?, memory: Int = 64 << 20) -> ContentStore.Options {
        var options = ContentStore.Options()
        options.bootIdentifier = boots[0]
        var limits = SpaceLimits()
        // Whatever the disk of the machine that runs the tests holds.
        limits.fillPercent = 100
        limits.evictPercent = 100
        limits.fullPercent = 100
        limits.quota = quota
        options.limits = limits
        options.unstoredBytes = memory
        return options
    }

    /// Returns the bytes of a chunk; `nil` if it is not available.
    private static func read(_ layer: StoredLayer, _ chunk: Int) throws -> [UInt8]? {
        let range = layer.chunks.chunk(chunk).content
        var bytes = [UInt8](repeating: 0xAA, count: Int(range.count))
        let missing = try bytes.withUnsafeMutableBytes {
            try layer.read(chunk..<chunk + 1, at: range.offset, into: $0)
        }
        return missing == nil ? bytes : nil
    }

    private static func expected(_ fixture: LayerFixture, _ chunk: Int) -> [UInt8] {
        let file = fixture.files[chunk / 2].bytes
        return Array(chunk % 2 == 0 ? file[..<(64 << 10)] : file[(64 << 10)...])
    }

    private static func publish(_ layer: StoredLayer, _ fixture: LayerFixture, _ chunks: some Sequence<Int>) throws {
        for chunk in chunks {
            try expected(fixture, chunk).withUnsafeBytes { try layer.publish(chunk, $0) }
        }
    }

    @Test("frees the space of evicted chunks, and never trusts their bits again")
    func freesSpace() throws {
        let fixture = Self.layer()
        try withTemporaryDirectory(in: "/var/tmp") { root in
            try withStore(root) { store in
                let layer = try store.install(fixture.key, index: fixture.index())
                try Self.publish(layer, fixture, 0..<16)
                try store.makeAllDurable()
                let before = try layer.allocatedBytes()
                let freed = try layer.evict(256 << 10)
                #expect(freed == 256 << 10)
                #expect(try layer.allocatedBytes() == before - freed)
                #expect(layer.presentSet == Set(4..<16))
                #expect(layer.presentCount == 12)
                #expect(try Self.read(layer, 0) == nil)
                #expect(try Self.read(layer, 4) == Self.expected(fixture, 4))
            }
            // In the same boot the live bits count, and after a crash of the machine the durable ones.
            for boot in boots {
                try withStore(root, boot: boot) { store in
                    let layer = try #require(try store.layer(fixture.key))
                    #expect(layer.presentSet == Set(4..<16))
                    #expect(try Self.read(layer, 15) == Self.expected(fixture, 15))
                }
            }
        }
    }

    @Test("evicts what was read last of all, and goes round")
    func givesSecondChance() throws {
        let fixture = Self.layer()
        try withTemporaryDirectory { root in
            try withStore(root) { store in
                let layer = try store.install(fixture.key, index: fixture.index())
                try Self.publish(layer, fixture, 0..<16)
                for chunk in [0, 1, 2, 9] { _ = try Self.read(layer, chunk) }
                _ = try layer.evict(128 << 10)
                #expect(layer.presentSet == Set([0, 1, 2]).union(5..<16))
                _ = try layer.evict(640 << 10)
                #expect(layer.presentSet == [0, 1, 2, 9])
                // Nobody has read them since the hand passed.
                _ = try layer.evict(.max)
                #expect(layer.presentSet == [])
            }
        }
    }

    @Test("publishes an evicted chunk again")
    func publishesAgain() throws {
        let fixture = Self.layer()
        try withTemporaryDirectory { root in
            try withStore(root) { store in
                let layer = try store.install(fixture.key, index: fixture.index())
                try Self.publish(layer, fixture, 0..<16)
                #expect(layer.isComplete)
                _ = try layer.evict(.max)
                #expect(layer.presentCount == 0)
                try Self.publish(layer, fixture, 0..<16)
                for chunk in 0..<16 { #expect(try Self.read(layer, chunk) == Self.expected(fixture, chunk)) }
            }
        }
    }

    @Test("never shows a reader a wrong byte while chunks are evicted, published and read", arguments: [UInt64(5), 6])
    func staysRight(seed: UInt64) throws {
        print("seed \(seed)")
        let sample = try SampleLayer(seed: seed, files: 40, chunkLimit: 20_000, zeros: true)
        try withTemporaryDirectory { root in
            try withStore(root) { store in
                let layer = try store.install(sample.key, index: sample.index)
                let failures = Guarded<[String]>([])
                let (reads, evicted) = (Counter(), Counter())
                let threads = try (0..<5).map { number in
                    try NamedThread(name: "evict-\(number)") {
                        var random = SeededRandom(seed: seed &* 100 &+ UInt64(number))
                        do {
                            for _ in 0..<2000 {
                                let chunk = Int.random(in: 0..<layer.chunks.chunkCount, using: &random)
                                switch Int.random(in: 0..<100, using: &random) {
                                case 0 where number == 0: evicted.add(try layer.evict(100_000))
                                case 1 where number == 1: try layer.makeDurable()
                                case 0...39:
                                    let code = code { try layer.publish([chunk], of: sample) }
                                    if code != nil && code != .busy { failures.withLock { $0.append("\(code!)") } }
                                default:
                                    guard let bytes = try Self.read(layer, chunk) else { continue }
                                    reads.add()
                                    if bytes != sample.bytes(chunk) { failures.withLock { $0.append("\(chunk)") } }
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
                #expect(evicted.value > 0)
                try layer.expectTrue(sample)
            }
            for boot in boots {
                try withStore(root, boot: boot) { store in
                    try #require(try store.layer(sample.key)).expectTrue(sample)
                }
            }
        }
    }

    @Test("stays below the quota, and evicts to make room")
    func keepsQuota() throws {
        let fixtures = (1..<5).map { Self.layer(seed: $0) }
        try withTemporaryDirectory(in: "/var/tmp") { root in
            // Usable are 3 MiB: less than the four layers, more than each.
            let quota: UInt64 = 4 << 20
            let store = try ContentStore(root: root, options: Self.options(quota: quota))
            _ = store.keepSpace()
            var refused = 0
            for fixture in fixtures {
                let layer = try store.install(fixture.key, index: fixture.index())
                for chunk in 0..<16 {
                    while code({ try Self.publish(layer, fixture, [chunk]) }) == .noSpace {
                        refused += 1
                        #expect(store.keepSpace(refused: 72 << 10).evictedBytes > 0)
                    }
                    #expect(store.usedBytes <= quota)
                    let used = try (store.listLayers() + store.listChains()).reduce(0) { $0 + $1.allocatedBytes }
                    #expect(used <= store.usedBytes)
                }
            }
            #expect(refused > 0)
        }
    }

    @Test("evicts layers that nothing has open before others")
    func evictsClosedFirst() throws {
        let (idle, busy) = (Self.layer(seed: 1), Self.layer(seed: 2))
        try withTemporaryDirectory(in: "/var/tmp") { root in
            let store = try ContentStore(root: root, options: Self.options(quota: 8 << 20))
            try Self.publish(try store.install(idle.key, index: idle.index()), idle, 0..<16)
            let layer = try store.install(busy.key, index: busy.index())
            try Self.publish(layer, busy, 0..<16)
            // Eight layers of this size would be too much.
            #expect(store.keepSpace(refused: 6 << 20).evictedBytes >= 1 << 20)
            #expect(try store.usage(ofLayer: idle.key)?.contentBytes == 0)
        }
    }

    @Test("refuses a layer whose index does not fit into the quota")
    func refusesIndex() throws {
        let fixture = Self.layer()
        try withTemporaryDirectory { root in
            let store = try ContentStore(root: root, options: Self.options(quota: 1 << 20))
            _ = store.keepSpace()
            #expect(code { _ = try store.install(fixture.key, index: fixture.index()) } == .noSpace)
            #expect(store.allKeys == [])
        }
    }

    @Test("serves chunks from memory that the disk did not take")
    func servesFromMemory() throws {
        let fixture = Self.layer()
        try withTemporaryDirectory { root in
            let store = try ContentStore(root: root, options: Self.options(quota: nil, memory: 64 << 10))
            let layer = try store.install(fixture.key, index: fixture.index())
            try Self.publish(layer, fixture, [0])
            Self.expected(fixture, 1).withUnsafeBytes { layer.keepInMemory(1, $0) }
            #expect(!layer.isPresent(1))
            #expect(layer.isAvailable(1))
            // A read over both: the end of the chunk on the disk, and the beginning of the other.
            var bytes = [UInt8](repeating: 0, count: 2000)
            let start = layer.chunks.chunk(1).content.offset - 1000
            let missing = try bytes.withUnsafeMutableBytes { try layer.read(0..<2, at: start, into: $0) }
            #expect(missing == nil)
            #expect(bytes == Self.expected(fixture, 0).suffix(1000) + Self.expected(fixture, 1).prefix(1000))
            // There is room for two chunks. The oldest gives way.
            for chunk in 2..<4 { Self.expected(fixture, chunk).withUnsafeBytes { layer.keepInMemory(chunk, $0) } }
            #expect(try Self.read(layer, 1) == nil)
            #expect(try Self.read(layer, 3) == Self.expected(fixture, 3))
        }
    }
}
