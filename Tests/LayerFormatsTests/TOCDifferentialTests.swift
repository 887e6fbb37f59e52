import Base
import Foundation
import LayerFormats
import TestSupport
import Testing

/// Tests that compare the scanner with `JSONDecoder`, on random texts with and without damage.
@Suite struct TOCDifferentialTests {
    /// A TOC in the form that `JSONDecoder` reads.
    struct Reference: Decodable {
        struct Entry: Decodable {
            var name: String?
            var type: String?
            var size: Int64?
            var linkName: String?
            var mode: Int64?
            var uid: Int64?
            var gid: Int64?
            var devMajor: Int64?
            var devMinor: Int64?
            var xattrs: [String: Data?]?
            var digest: String?
            var offset: Int64?
            var innerOffset: Int64?
            var chunkOffset: Int64?
            var chunkSize: Int64?
            var chunkDigest: String?
            var modtime: String?
        }

        var version: Int
        var entries: [Entry]?
    }

    @Test(arguments: 0..<40)
    func validTexts(round: Int) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var writer = RandomTOC(seed: seed)
        let json = writer.document()
        let reference = try JSONDecoder().decode(Reference.self, from: Data(json))
        let entries = try TableOfContents.entries(of: json, pieceSize: round % 2 == 0 ? .max : 1 + round * 13)
        try #require(entries.count == reference.entries?.count ?? 0, "seed \(seed)")
        for (entry, expected) in zip(entries, reference.entries ?? []) {
            #expect(Self.differences(entry, expected).isEmpty, "seed \(seed)")
        }
    }

    /// Accepts only damaged texts that `JSONDecoder` accepts, too, and reads the same from them.
    @Test(arguments: 0..<40)
    func damagedTexts(round: Int) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
        var writer = RandomTOC(seed: seed &+ 1)
        let original = writer.document()
        for _ in 0..<100 {
            var json = original
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let place = Int.random(in: 0..<json.count, using: &random)
                switch random.next() % 4 {
                case 0: json[place] ^= 1 << UInt8(random.next() % 8)
                case 1: json.remove(at: place)
                case 2: json.insert(json[Int.random(in: 0..<json.count, using: &random)], at: place)
                default: json.insert(Array(#"{}[]",:\0-.eEnu 1"#.utf8)[Int(random.next() % 17)], at: place)
                }
            }
            guard let entries = try? TableOfContents.entries(of: json) else { continue }
            let text = String(decoding: json, as: UTF8.self)
            let reference = try? JSONDecoder().decode(Reference.self, from: Data(json))
            try #require(reference != nil, "seed \(seed): taken, but it is no JSON: \(text)")
            try #require(entries.count == reference?.entries?.count ?? 0, "seed \(seed)")
            for (entry, expected) in zip(entries, reference?.entries ?? []) {
                #expect(Self.differences(entry, expected).isEmpty, "seed \(seed): \(text)")
            }
        }
    }

    private static func differences(_ entry: TableOfContents.Entry, _ expected: Reference.Entry) -> [String] {
        var differences: [String] = []
        func check(_ name: String, _ same: Bool) {
            if !same { differences.append(name) }
        }
        check("name", entry.name == Array((expected.name ?? "").utf8))
        check("type", entry.type == expected.type ?? "")
        check("linkName", entry.linkName == Array((expected.linkName ?? "").utf8))
        check("size", Int64(entry.size) == expected.size ?? 0)
        check("mode", Int64(entry.mode) == expected.mode ?? 0)
        check("uid", Int64(entry.uid) == expected.uid ?? 0)
        check("gid", Int64(entry.gid) == expected.gid ?? 0)
        check("devMajor", Int64(entry.deviceMajor) == expected.devMajor ?? 0)
        check("devMinor", Int64(entry.deviceMinor) == expected.devMinor ?? 0)
        check("offset", Int64(entry.offset) == expected.offset ?? 0)
        check("innerOffset", Int64(entry.innerOffset) == expected.innerOffset ?? 0)
        check("chunkOffset", Int64(entry.chunkOffset) == expected.chunkOffset ?? 0)
        check("chunkSize", Int64(entry.chunkSize) == expected.chunkSize ?? 0)
        check("digest", entry.digest?.description ?? "" == expected.digest ?? "")
        check("chunkDigest", entry.chunkDigest?.description ?? "" == expected.chunkDigest ?? "")
        var xattrs: [String: [UInt8]] = [:]
        for (name, value) in entry.xattrs { xattrs[String(decoding: name, as: UTF8.self)] = value }
        check("xattrs", xattrs == (expected.xattrs ?? [:]).mapValues { $0.map { Array($0) } ?? [] })
        if let modtime = expected.modtime {
            // Foundation accepts no fractions here, accepts more than RFC 3339 allows, and counts days before October
            // 1582 in the Julian calendar. So compare only plain times.
            let date = try? Date(modtime, strategy: .iso8601)
            if modtime.utf8.count == 20, modtime > "1583", let date {
                check("modtime", Double(entry.modifiedSeconds) == date.timeIntervalSince1970)
            }
        }
        return differences
    }
}

/// A writer of random valid TOCs, in every notation that JSON allows.
struct RandomTOC {
    private var random: SeededRandom

    init(seed: UInt64) {
        random = SeededRandom(seed: seed)
    }

    mutating func document() -> [UInt8] {
        let entries = (0..<pick(0...12)).map { _ in entry() }
        var members = ["\"version\"\(space()):\(space())1", "\"entries\"\(space()):\(list("[", entries, "]"))"]
        if oneIn(3) { members.append("\"other\":\(value(0))") }
        members.shuffle(using: &random)
        return Array((space() + list("{", members, "}") + space()).utf8)
    }

    private mutating func entry() -> String {
        let types = ["dir", "reg", "symlink", "hardlink", "char", "block", "fifo", "chunk"]
        var members: [String] = []
        if !oneIn(9) { members.append(member("name", string())) }
        if !oneIn(9) { members.append(member("type", "\"\(types[pick(0...7)])\"")) }
        for key in ["size", "mode", "offset", "innerOffset", "chunkOffset", "chunkSize"] where oneIn(2) {
            members.append(member(key, oneIn(9) ? "null" : "\(random.next() >> UInt64(5 + pick(0...58)))"))
        }
        for key in ["uid", "gid", "devMajor", "devMinor"] where oneIn(2) {
            members.append(member(key, "\(UInt32(truncatingIfNeeded: random.next()))"))
        }
        for key in ["linkName", "userName", "groupName"] where oneIn(3) { members.append(member(key, string())) }
        for key in ["digest", "chunkDigest"] where oneIn(2) {
            let bytes = (0..<32).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            members.append(member(key, oneIn(9) ? "\"\"" : "\"sha256:\(Hex.encode(bytes))\""))
        }
        if oneIn(2) {
            let time =
                "20\(pick(10...29))-0\(pick(1...9))-1\(pick(0...9))T1\(pick(0...9)):2\(pick(0...9)):3\(pick(0...9))"
            members.append(member("modtime", "\"\(time)\(oneIn(3) ? ".\(pick(1...99999))" : "")Z\""))
        }
        if oneIn(3) {
            let pairs = (0..<pick(0...4)).map { index -> String in
                let bytes = (0..<pick(0...20)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
                return "\"user.\(index)\":\(space())\"\(JSONText.base64(bytes))\""
            }
            members.append(member("xattrs", list("{", pairs, "}")))
        }
        for _ in 0..<pick(0...2) { members.append("\(space())\"unknown\(pick(0...9))\":\(value(0))") }
        members.shuffle(using: &random)
        return list("{", members, "}")
    }

    /// Returns any JSON value.
    private mutating func value(_ depth: Int) -> String {
        switch depth > 5 ? pick(0...5) : pick(0...7) {
        case 0: return "null"
        case 1: return "true"
        case 2: return "false"
        case 3: return string()
        case 4: return "-\(pick(0...999)).\(pick(0...999))e\(oneIn(2) ? "+" : "-")\(pick(0...9))"
        case 5: return "\(pick(0...999_999))"
        case 6: return list("[", (0..<pick(0...3)).map { _ in value(depth + 1) }, "]")
        default: return list("{", (0..<pick(0...3)).map { "\"k\($0)\":\(value(depth + 1))" }, "}")
        }
    }

    private mutating func string() -> String {
        var text = "\""
        for _ in 0..<pick(0...30) {
            switch pick(0...12) {
            case 0: text += ["\\\"", "\\\\", "\\/", "\\b", "\\f", "\\n", "\\r", "\\t"][pick(0...7)]
            case 1: text += ["\\u0041", "\\u00e9", "\\u20ac", "\\ud83d\\ude00", "\\u0000", "\\uFFFE"][pick(0...5)]
            case 2: text += ["é", "€", "😀", "\u{7f}", "ÿ"][pick(0...4)]
            default: text += ["a", "b/", ".", "..", " ", "lib", "x", "_"][pick(0...7)]
            }
        }
        return text + "\""
    }

    private mutating func member(_ key: String, _ value: String) -> String {
        "\(space())\"\(key)\"\(space()):\(space())\(value)\(space())"
    }

    private mutating func list(_ open: String, _ items: [String], _ close: String) -> String {
        open + space() + items.joined(separator: space() + "," + space()) + space() + close
    }

    private mutating func space() -> String { oneIn(4) ? [" ", "\n", "\t", "\r\n", "  \t"][pick(0...4)] : "" }
    private mutating func oneIn(_ count: UInt64) -> Bool { random.next() % count == 0 }
    private mutating func pick(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }
}
