import FuzzTargets
import Glibc
import Linux
import TestSupport
import Testing

/// Runs every fuzz target over its committed corpus, so that an ordinary build notices what a fuzzer once found.
///
/// A broken promise traps and ends the process; the last line of output names the target and the input.
struct ReplayTests {
    private static let directory: String = {
        let parts = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2)
        return parts.joined(separator: "/") + "/Fuzz"
    }()

    private static func files(_ directory: String) throws -> [String] {
        try Sys.list(directory).map { String(decoding: $0.name, as: UTF8.self) }.sorted()
    }

    private static func seeds(_ target: FuzzTarget) throws -> [(name: String, bytes: [UInt8])] {
        let directory = "\(directory)/Corpus/\(target.name)"
        return try files(directory).map { ($0, try Sys.readFile("\(directory)/\($0)", limit: 1 << 20)) }
    }

    @Test("every target has a corpus and a dictionary, and nothing else has")
    func everyTargetHasCorpusAndDictionary() throws {
        let names = FuzzTarget.all.map(\.name).sorted()
        #expect(Set(names).count == names.count)
        #expect(try Self.files("\(Self.directory)/Corpus") == names)
        #expect(try Self.files("\(Self.directory)/Dictionaries") == names.map { "\($0).dict" })
    }

    @Test("replays the corpus", arguments: FuzzTarget.all.map(\.name))
    func replaysCorpus(_ name: String) throws {
        let target = try #require(FuzzTarget.named(name))
        let seeds = try Self.seeds(target)
        #expect(!seeds.isEmpty)
        for seed in seeds {
            #expect(seed.bytes.count <= 65536, "\(name)/\(seed.name) is larger than the fuzzer's inputs")
            seed.bytes.withUnsafeBytes { target.run($0) }
        }
    }

    @Test("survives truncated and damaged seeds", arguments: FuzzTarget.all.map(\.name))
    func survivesDamage(_ name: String) throws {
        let target = try #require(FuzzTarget.named(name))
        var random = SeededRandom(named: "ReplayTests \(name)")
        for seed in try Self.seeds(target) {
            for _ in 0..<20 {
                var bytes = Array(seed.bytes.prefix(Int.random(in: 0...seed.bytes.count, using: &random)))
                for _ in 0..<Int.random(in: 0...4, using: &random) where !bytes.isEmpty {
                    bytes[Int.random(in: bytes.indices, using: &random)] = .random(in: 0...255, using: &random)
                }
                bytes.withUnsafeBytes { target.run($0) }
            }
        }
    }

    @Test("reads every dictionary as libFuzzer does", arguments: FuzzTarget.all.map(\.name))
    func dictionaryIsWellFormed(_ name: String) throws {
        let text = String(
            decoding: try Sys.readFile("\(Self.directory)/Dictionaries/\(name).dict", limit: 1 << 20), as: UTF8.self)
        let entries = text.split(separator: "\n").filter { !$0.hasPrefix("#") }
        #expect(entries.count >= 5)
        for entry in entries {
            let quotes = entry.indices.filter { entry[$0] == "\"" }
            #expect(quotes.count >= 2 && entry.hasSuffix("\""), "\(name): \(entry)")
        }
    }
}
