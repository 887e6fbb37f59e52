import Base
import ContentStore
import LayerIndex
import Linux
import SystemPackage
import TestSupport
import Testing

/// A kind of damage to a file that nobody has open.
enum Harm: String, CaseIterable, Sendable {
    case removed, emptied, halved, longer, noise, flippedStart, flippedMiddle, replacedByCopy
    case directory, link, fifo, version

    func inflict(on path: String, _ random: inout SeededRandom) throws {
        let size = try Sys.stat(path).size
        func resize(_ size: UInt64) throws {
            let file = try Sys.open(path, .writeOnly)
            try Sys.ftruncate(file.raw, size: size)
        }
        func flip(_ offset: UInt64) throws {
            let file = try Sys.open(path, .readWrite)
            let byte = try Sys.pread(file.raw, count: 1, at: offset)[0]
            try Sys.pwriteAll(file.raw, [byte ^ 0x10], at: offset)
        }
        switch self {
        case .removed: try Sys.unlink(path)
        case .emptied: try resize(0)
        case .halved: try resize(size / 2)
        case .longer: try resize(size + 4096)
        case .noise: try patch(path, at: 0, (0..<size).map { _ in UInt8.random(in: 0...255, using: &random) })
        case .flippedStart: try flip(UInt64.random(in: 0..<64, using: &random))
        case .flippedMiddle: try flip(size / 2)
        case .replacedByCopy:
            let bytes = try Sys.readFile(path, limit: 1 << 30)
            try Sys.unlink(path)
            try Sys.writeFile(path, bytes)
        case .directory:
            try Sys.unlink(path)
            try Sys.makeDirectories(path + "/inside")
        case .link:
            try Sys.rename(path, to: path + ".elsewhere")
            try Sys.symlink(path + ".elsewhere", path: path)
        case .fifo:
            try Sys.unlink(path)
            try Sys.makeNode(path, mode: 0o010600)
        // In our own formats, the version follows eight bytes of magic.
        case .version: try patch(path, at: 8, [99])
        }
    }
}

@Suite struct DamageTests {
    /// Checks that the store survives any damage to a layer's file. It returns no wrong byte, reports a reason, and the
    /// layer works again.
    @Test(arguments: ["tree.erofs", "chunks", "content", "present"], Harm.allCases)
    func layerFiles(file: String, harm: Harm) throws {
        // Without reading all content, the store cannot detect content that was changed in place without a change of
        // length.
        if file == "content", [.noise, .flippedStart, .flippedMiddle, .version].contains(harm) { return }
        let seed: UInt64 = 60
        print("seed \(seed)")
        var random = SeededRandom(seed: seed)
        let sample = try SampleLayer(seed: seed)
        let all = 0..<sample.table.chunkCount
        try withTemporaryDirectory { root in
            for boot in boots {
                try withStore(root, boot: boot) { store in
                    let layer = try store.install(sample.key, index: sample.index)
                    try layer.publish(all, of: sample)
                    try layer.makeDurable()
                }
                try harm.inflict(on: "\(layerDirectory(root, sample))/\(file)", &random)
                let reports = Reports()
                try withStore(root, boot: boot, reports: reports) { store in
                    if let layer = try store.layer(sample.key) {
                        try layer.expectTrue(sample)
                    } else {
                        #expect(["tree.erofs", "chunks"].contains(file))
                        #expect(reports.items.count == 1)
                    }
                    let layer = try store.install(sample.key, index: sample.index)
                    try layer.publish(all, of: sample)
                    try layer.makeDurable()
                    #expect(layer.isComplete)
                    try layer.expectTrue(sample)
                }
                #expect(reports.items.allSatisfy { !$0.reason.isEmpty })
                try withStore(root, boot: boots[1]) { store in
                    let layer = try #require(try store.layer(sample.key))
                    #expect(layer.isComplete)
                    try layer.expectTrue(sample)
                    try store.makeAllDurable()
                }
                try withStore(root, boot: boot) { store in
                    let layer = try #require(try store.layer(sample.key))
                    #expect(layer.isComplete)
                }
                try removeTree(root + "/set-aside")
            }
        }
    }

    /// Flips bytes anywhere in the tree, chunk table or presence file. Each flip is detected or changes nothing that is
    /// read.
    @Test(arguments: ["tree.erofs", "chunks", "present"]) func flips(file: String) throws {
        let seed: UInt64 = 61
        print("seed \(seed)")
        var random = SeededRandom(seed: seed)
        let sample = try SampleLayer(seed: seed)
        try withTemporaryDirectory { root in
            let path = "\(layerDirectory(root, sample))/\(file)"
            for _ in 0..<60 {
                try withStore(root) { store in
                    let layer = try store.install(sample.key, index: sample.index)
                    try layer.publish(stride(from: 0, to: layer.chunks.chunkCount, by: 2), of: sample)
                    try layer.makeDurable()
                }
                let size = try Sys.stat(path).size
                var offset = UInt64.random(in: 0..<size, using: &random)
                // Within one boot the live bits need no checksum: only memory errors could change them. So skip the
                // live area.
                if file == "present", offset >= 8192, offset < 12288 { offset = 0 }
                let byte = try Sys.readFile(path, limit: 1 << 30)[Int(offset)]
                try patch(path, at: offset, [byte ^ (1 << UInt8.random(in: 0..<8, using: &random))])
                try withStore(root, boot: boots[1]) { store in
                    try store.layer(sample.key)?.expectTrue(sample, "offset \(offset)")
                }
                try withStore(root, boot: boots[0]) { store in
                    try store.layer(sample.key)?.expectTrue(sample, "offset \(offset)")
                }
            }
        }
    }

    /// Checks a presence file of another layer, and one of the same layer in another store.
    @Test(arguments: [false, true]) func presenceFromElsewhere(sameLayer: Bool) throws {
        let sample = try SampleLayer(seed: 62)
        let other = sameLayer ? sample : try SampleLayer(seed: 63, files: 30)
        try withTemporaryDirectory { root in
            try withTemporaryDirectory { second in
                try withStore(second) { store in
                    let layer = try store.install(other.key, index: other.index)
                    try layer.publish(0..<layer.chunks.chunkCount, of: other)
                    try layer.makeDurable()
                }
                try withStore(root) { _ = try $0.install(sample.key, index: sample.index) }
                let bytes = try Sys.readFile(layerDirectory(second, other) + "/present", limit: 1 << 20)
                try Sys.writeFile(layerDirectory(root, sample) + "/present", bytes)
                let reports = Reports()
                try withStore(root, reports: reports) { store in
                    let layer = try #require(try store.layer(sample.key))
                    #expect(layer.presentCount == 0)
                }
                #expect(reports.items.contains { $0.path.hasSuffix("/present") && $0.movedTo != nil })
            }
        }
    }

    @Test(arguments: Harm.allCases) func chainFiles(harm: Harm) throws {
        // A chain's tree has a checksum over its first block only, and the file may be longer than the tree.
        if [.flippedMiddle, .longer, .replacedByCopy].contains(harm) { return }
        var random = SeededRandom(seed: 64)
        let sample = try SampleLayer(seed: 64)
        let id = ChainKey(id: Digest.of([1]))
        try withTemporaryDirectory { root in
            try withStore(root) { _ = try $0.installChain(id, tree: sample.index.tree) }
            if harm == .version || harm == .flippedStart {
                // The magic of EROFS lies at byte 1024.
                try patch("\(root)/chains/\(id.id.hex)/tree.erofs", at: 1024, [99])
            } else {
                try harm.inflict(on: "\(root)/chains/\(id.id.hex)/tree.erofs", &random)
            }
            let reports = Reports()
            try withStore(root, reports: reports) { store in
                #expect(try store.chain(id) == nil)
                #expect(reports.items.count == 1)
                let tree = try store.installChain(id, tree: sample.index.tree)
                #expect(tree.deviceTags == [sample.digest])
            }
        }
    }
}
