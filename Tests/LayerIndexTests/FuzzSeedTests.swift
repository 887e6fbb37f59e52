import Base
import Foundation
import LayerIndex
import Testing

/// The seeds of the fuzzers of trees and chunk tables: the output of our own writer for small layers. The first byte
/// tells the fuzzers to use the bytes after it verbatim.
///
/// The seeds are committed, because the fuzzers start from files. After a change of the layout, run this test with
/// `RIVULET_WRITE_FUZZ_SEEDS=1` in the environment to rewrite them.
struct FuzzSeedTests {
    private static let verbatim: UInt8 = 1

    private struct Seed {
        var fuzzer: String
        var name: String
        var bytes: [UInt8]
    }

    private static var corpus: String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fuzz/Corpus").path
    }

    private static func seeds() throws -> [Seed] {
        let everything: [LayerEntry] = [
            .directory("d", mode: 0o1777), .file("d/.wh..wh..opq"), .file("d/empty", mode: 0o4755),
            .symlink("d/s", to: "../f"), .file("f", pieces: [(0, 0, 10)], xattrs: [("user.a", "1"), ("user.b", "22")]),
            .link("h", to: "f"), .file("d/.wh.gone"),
            LayerEntry(
                path: Array("c".utf8), kind: .character,
                attributes: NodeAttributes(mode: 0o600, uid: 70_000, gid: 70_001, deviceMajor: 5, deviceMinor: 1)),
            LayerEntry(path: Array("p".utf8), kind: .fifo, attributes: NodeAttributes(mode: 0o644)),
            LayerEntry(
                path: [0x66, 0xff, 0xfe], attributes: NodeAttributes(mode: 0o644)),
        ]
        let layers: [(String, [LayerEntry], Int)] = [
            ("empty", [], 0), ("everything", everything, 1),
            ("names", (0..<300).map { .file("many/file with a number \($0)") }, 0),
            ("deep", [.file((0..<60).map { "d\($0)" }.joined(separator: "/"))], 0),
            (
                "content",
                [
                    .file("c", pieces: [(2, 512, 100), (3, 0, 5000)]), .file("a", pieces: [(3, 6000, 1)]),
                    .file("b", pieces: [(1, 0, 4096), (2, 0, 10)]),
                    .file("large", pieces: (4..<40).map { (UInt32($0), 0, 4096) }),
                ], 40
            ),
        ]
        var seeds: [Seed] = []
        for (name, entries, extents) in layers {
            let index = try Layers.index(entries, extents: extents, prefetch: .blobPrefix(end: 2000))
            seeds.append(Seed(fuzzer: "FuzzTree", name: name, bytes: index.tree))
            seeds.append(Seed(fuzzer: "FuzzChunks", name: name, bytes: index.chunks))
        }
        let chain = try [everything, [.file(".wh.d"), .file("new/file"), .file("f", pieces: [(0, 0, 4096)])]]
            .enumerated().map { number, entries -> (tree: TreeImage, digest: Digest) in
                let digest = Digest.of(Array("layer \(number)".utf8))
                return (try TreeImage(bytes: try Layers.index(entries, extents: 1, digest: digest).tree), digest)
            }
        seeds.append(Seed(fuzzer: "FuzzTree", name: "merged", bytes: try ChainMerger.merge(chain)))
        return seeds
    }

    @Test func theCommittedSeedsAreWhatTheWriterMakes() throws {
        let isWriting = ProcessInfo.processInfo.environment["RIVULET_WRITE_FUZZ_SEEDS"] == "1"
        for seed in try Self.seeds() {
            let directory = "\(Self.corpus)/\(seed.fuzzer)"
            let file = URL(fileURLWithPath: "\(directory)/\(seed.name)")
            let wanted = Data([Self.verbatim] + seed.bytes)
            if isWriting {
                try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
                try wanted.write(to: file)
            }
            let found = try Data(contentsOf: file)
            #expect(found == wanted, "\(seed.fuzzer)/\(seed.name) has another layout: write the seeds again")
        }
    }

    @Test(arguments: ["FuzzTree", "FuzzChunks"])
    func everySeedIsAccepted(_ fuzzer: String) throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: "\(Self.corpus)/\(fuzzer)")
        #expect(!names.isEmpty)
        for name in names {
            let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: "\(Self.corpus)/\(fuzzer)/\(name)")))
            // A fuzzer's input may not be longer: see Tests/Fuzz/run.
            #expect(bytes.first == Self.verbatim && bytes.count <= 65536, "\(name)")
            if fuzzer == "FuzzTree" {
                try TreeImage(bytes: Array(bytes.dropFirst())).verify()
            } else {
                let table = try ChunkTable(bytes: Array(bytes.dropFirst()))
                #expect(table.blobDigest == Layers.digest, "\(name)")
            }
        }
    }
}

extension LayerEntry {
    /// Returns a file with content and attributes.
    fileprivate static func file(
        _ path: String, pieces: [(extent: UInt32, inner: UInt64, length: UInt64)], xattrs: [(String, String)]
    ) -> LayerEntry {
        var entry = file(path, pieces: pieces)
        entry.xattrs = xattrs.map { (Array($0.0.utf8), Array($0.1.utf8)) }
        return entry
    }
}
