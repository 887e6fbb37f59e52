import Base
import ContentStore
import LayerIndex
import LazyFixtures
import Linux
import SystemPackage
import TestSupport
import Testing

/// Tests of the chunks that are trusted after the process or the machine has crashed.
@Suite struct CrashTests {
    /// Checks that published chunks survive the end of the process, even if they were not made durable.
    @Test func aProcessDies() throws {
        let sample = try SampleLayer(seed: 20)
        try withTemporaryDirectory { root in
            try withStore(root) { try $0.install(sample.key, index: sample.index).publish([1, 2, 7], of: sample) }
            try withStore(root) { store in
                let layer = try #require(try store.layer(sample.key))
                #expect(layer.presentSet == [1, 2, 7])
                try layer.expectTrue(sample)
                layer.drop(2)
            }
            try withStore(root) { store in
                let layer = try #require(try store.layer(sample.key))
                #expect(layer.presentSet == [1, 7])
            }
        }
    }

    /// Checks that exactly the durable chunks survive a crash of the machine.
    @Test func theMachineDies() throws {
        let sample = try SampleLayer(seed: 21)
        try withTemporaryDirectory { root in
            try withStore(root) { store in
                let layer = try store.install(sample.key, index: sample.index)
                try layer.publish([1, 2], of: sample)
                try layer.makeDurable()
                try layer.publish([3], of: sample)
            }
            try withStore(root, boot: boots[1]) { store in
                let layer = try #require(try store.layer(sample.key))
                #expect(layer.presentSet == [1, 2])
                try layer.publish([5], of: sample)
            }
            // In a second session of this boot, the live bits of this boot count. Those of the first boot do not.
            try withStore(root, boot: boots[1]) { store in
                let layer = try #require(try store.layer(sample.key))
                #expect(layer.presentSet == [1, 2, 5])
                try store.makeAllDurable()
            }
            try withStore(root, boot: boots[0]) { store in
                let layer = try #require(try store.layer(sample.key))
                #expect(layer.presentSet == [1, 2, 5])
                try layer.expectTrue(sample)
            }
        }
    }

    /// Checks that making a layer durable again writes nothing if no bit has changed.
    @Test func durableOnce() throws {
        let sample = try SampleLayer(seed: 22)
        try withTemporaryDirectory { root in
            let present = layerDirectory(root, sample) + "/present"
            try withStore(root) { store in
                let layer = try store.install(sample.key, index: sample.index)
                try layer.makeDurable()
                let empty = try Sys.readFile(present, limit: 1 << 20)
                try layer.publish([0], of: sample)
                try layer.makeDurable()
                let once = try Sys.readFile(present, limit: 1 << 20)
                #expect(once != empty)
                try layer.makeDurable()
                try layer.publish([0], of: sample)
                try layer.makeDurable()
                #expect(try Sys.readFile(present, limit: 1 << 20) == once)
            }
            try withStore(root) { store in
                let before = try Sys.readFile(present, limit: 1 << 20)
                _ = try #require(try store.layer(sample.key))
                try store.makeAllDurable()
                #expect(try Sys.readFile(present, limit: 1 << 20) == before)
            }
        }
    }

    /// Checks that live bits of absent chunks are not trusted after a crash of the machine. Such bits arise if the
    /// kernel writes the presence file back before the content.
    @Test func liveBitsAhead() throws {
        let sample = try SampleLayer(seed: 23)
        try withTemporaryDirectory { root in
            try withStore(root) { store in
                let layer = try store.install(sample.key, index: sample.index)
                try layer.publish([4], of: sample)
                try layer.makeDurable()
            }
            // The live area starts at the third block (PresenceFormat).
            try patch(layerDirectory(root, sample) + "/present", at: 2 * 4096, [UInt8](repeating: 0xFF, count: 8))
            try withStore(root, boot: boots[1]) { store in
                let layer = try #require(try store.layer(sample.key))
                #expect(layer.presentSet == [4])
                try layer.expectTrue(sample)
            }
        }
    }

    /// Checks that the other slot counts if one slot is torn, and that no bit counts if both are.
    @Test(arguments: [[0], [1], [0, 1]]) func tornSlots(torn: [Int]) throws {
        let sample = try SampleLayer(seed: 24)
        try withTemporaryDirectory { root in
            try withStore(root) { store in
                let layer = try store.install(sample.key, index: sample.index)
                for chunk in 0..<5 {
                    try layer.publish([chunk], of: sample)
                    try layer.makeDurable()
                }
            }
            let present = layerDirectory(root, sample) + "/present"
            // The file has one block each for header, session, live bits and the two slots. Generation 5 lies in slot
            // 0.
            try #require(try Sys.stat(present).size == 5 * 4096)
            for slot in torn { try patch(present, at: UInt64(3 + slot) * 4096 + 64, [0xFF]) }
            try withStore(root, boot: boots[1]) { store in
                let layer = try #require(try store.layer(sample.key))
                let expected: Set<Int> =
                    switch torn {
                    case [0]: [0, 1, 2, 3]
                    case [1]: [0, 1, 2, 3, 4]
                    default: []
                    }
                #expect(layer.presentSet == expected)
                try layer.expectTrue(sample)
                // The next durable copy is good again.
                try layer.publish([6], of: sample)
                try layer.makeDurable()
            }
            try withStore(root, boot: boots[0]) { store in
                let layer = try #require(try store.layer(sample.key))
                #expect(layer.presentSet.contains(6))
                try layer.expectTrue(sample)
            }
        }
    }

    /// Checks a content file that was shortened while it was closed. The lost chunks are never trusted again, and the
    /// remaining chunks stay trusted.
    @Test(arguments: [false, true]) func shortenedContent(sameBoot: Bool) throws {
        let sample = try SampleLayer(seed: 25)
        let count = sample.table.chunkCount
        let cut = sample.table.chunk(count / 2).content.offset + 1
        let left = Set((0..<count).filter { sample.table.chunk($0).content.end <= cut })
        try withTemporaryDirectory { root in
            try withStore(root) { store in
                let layer = try store.install(sample.key, index: sample.index)
                try layer.publish(0..<count, of: sample)
                try layer.makeDurable()
            }
            do {
                let file = try Sys.open(layerDirectory(root, sample) + "/content", .writeOnly)
                try Sys.ftruncate(file.raw, size: cut)
            }
            for boot in [sameBoot ? boots[0] : boots[1], boots[1], boots[0]] {
                try withStore(root, boot: boot) { store in
                    let layer = try #require(try store.layer(sample.key))
                    #expect(layer.presentSet == left)
                    try layer.expectTrue(sample)
                }
            }
            // Each slot alone gives the same result.
            let present = layerDirectory(root, sample) + "/present"
            let good = try Sys.readFile(present, limit: 1 << 20)
            for slot in 0..<2 {
                try patch(present, at: UInt64(3 + slot) * 4096 + 64, [0xFF])
                try withStore(root, boot: boots[1]) { store in
                    let layer = try #require(try store.layer(sample.key))
                    #expect(layer.presentSet == left)
                }
                try patch(present, at: 0, good)
            }
        }
    }

    /// Checks that chunks of zeros stay present when the content file is shortened. Nobody would fetch them again.
    @Test func shortenedZerosStay() throws {
        let sample = try SampleLayer(seed: 27, files: 20, zeros: true)
        let zeros = Set((0..<sample.table.chunkCount).filter { sample.table.chunk($0).isZeros })
        try withTemporaryDirectory { root in
            try withStore(root) { store in
                let layer = try store.install(sample.key, index: sample.index)
                try layer.publish((0..<sample.table.chunkCount).filter { !zeros.contains($0) }, of: sample)
                let file = try Sys.open(layerDirectory(root, sample) + "/content", .writeOnly)
                try Sys.ftruncate(file.raw, size: 0)
                #expect(code { _ = try layer.bytes(ofChunk: 0) } == .damaged)
                #expect(!zeros.isEmpty && layer.presentSet == zeros)
                try layer.expectTrue(sample)
            }
        }
    }

    /// Checks a content file that is shortened while it is open. The read that meets its end fails, and no read returns
    /// zeros for lost bytes.
    @Test func shortenedWhileOpen() throws {
        let sample = try SampleLayer(seed: 26)
        let count = sample.table.chunkCount
        try withTemporaryDirectory { root in
            try withStore(root) { store in
                let layer = try store.install(sample.key, index: sample.index)
                try layer.publish(0..<count, of: sample)
                try layer.makeDurable()
                let file = try Sys.open(layer.contentPath, .writeOnly)
                try Sys.ftruncate(file.raw, size: sample.table.chunk(3).content.offset)
                #expect(code { _ = try layer.bytes(ofChunk: count - 1) } == .damaged)
                #expect(layer.presentSet == [0, 1, 2])
                // After a later chunk is published again, the chunks between stay missing.
                try layer.publish([count - 1], of: sample)
                #expect(layer.presentSet == [0, 1, 2, count - 1])
                try layer.expectTrue(sample)
            }
            for boot in boots.reversed() {
                try withStore(root, boot: boot) { store in
                    let layer = try #require(try store.layer(sample.key))
                    #expect(layer.presentSet.isSubset(of: [0, 1, 2, count - 1]))
                    try layer.expectTrue(sample)
                }
            }
        }
    }

    /// Simulates power failures at random moments. Each sector written since the last fdatasync reaches the disk or
    /// not, at random.
    @Test(arguments: Array(UInt64(100)..<112)) func powerFails(seed: UInt64) throws {
        print("seed \(seed)")
        var random = SeededRandom(seed: seed)
        let sample = try SampleLayer(seed: seed, files: 40, chunkLimit: 3000, zeros: seed % 2 == 0)
        let zeros = Set((0..<sample.table.chunkCount).filter { sample.table.chunk($0).isZeros })
        try withTemporaryDirectory { root in
            let contentPath = layerDirectory(root, sample) + "/content"
            let presentPath = layerDirectory(root, sample) + "/present"
            func both() throws -> (content: [UInt8], present: [UInt8]) {
                (try Sys.readFile(contentPath, limit: 1 << 30), try Sys.readFile(presentPath, limit: 1 << 30))
            }
            try withStore(root) { _ = try $0.install(sample.key, index: sample.index) }
            var onDisk = try both()
            var safe = Set<Int>()
            for round in 0..<12 {
                // True if power fails in the middle of makeDurable; false for any other moment.
                var inMiddle = false
                try withStore(root, boot: "00000000-0000-0000-0000-\(100_000_000_000 + round)") { store in
                    let layer = try #require(try store.layer(sample.key))
                    let present = layer.presentSet
                    #expect(present.isSuperset(of: safe), "round \(round): something durable was lost")
                    try layer.expectTrue(sample, "round \(round)")
                    safe = present
                    for _ in 0..<Int.random(in: 0..<60, using: &random) {
                        switch Int.random(in: 0..<20, using: &random) {
                        case 0:
                            let content = try both().content
                            let kept = layer.presentSet
                            try layer.makeDurable()
                            let after = try both()
                            inMiddle = Bool.random(using: &random)
                            if inMiddle {
                                onDisk.content = content
                                return
                            }
                            onDisk = after
                            safe = kept
                        case 1...3:
                            let chunk = Int.random(in: 0..<layer.chunks.chunkCount, using: &random)
                            if !zeros.contains(chunk) { layer.drop(chunk) }
                            safe.remove(chunk)
                        default:
                            try layer.publish([Int.random(in: 0..<layer.chunks.chunkCount, using: &random)], of: sample)
                        }
                    }
                }
                let written = try both()
                let content = mixed(onDisk.content, written.content, &random)
                let present = mixed(onDisk.present, written.present, &random)
                try patch(contentPath, at: 0, content)
                try patch(presentPath, at: 0, present)
                onDisk = (content, present)
            }
        }
    }

    /// Returns a mix of `old` and `new`: each sector of 512 bytes comes from one or the other, at random.
    private func mixed(_ old: [UInt8], _ new: [UInt8], _ random: inout SeededRandom) -> [UInt8] {
        var bytes = old
        let bias = UInt64.random(in: 0...8, using: &random)
        for start in stride(from: 0, to: bytes.count, by: 512) where random.next() % 8 < bias {
            bytes.replaceSubrange(start..<start + 512, with: new[start..<start + 512])
        }
        return bytes
    }
}
