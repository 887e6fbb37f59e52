import Base
import LayerFormats
import TestSupport
import Testing

/// Tests of the JSON scanner, one element of a table of contents (TOC) at a time.
@Suite struct TOCScannerTests {
    static func entries(_ text: String) throws -> [TableOfContents.Entry] {
        try TableOfContents.entries(of: Array(text.utf8))
    }

    /// Returns the only entry of a TOC, with these members.
    static func entry(_ members: String) throws -> TableOfContents.Entry {
        try #require(try entries(#"{"version":1,"entries":[{\#(members)}]}"#).first)
    }

    @Test func everyMember() throws {
        let digest = "sha256:" + String(repeating: "0123456789abcdef", count: 4)
        let entry = try Self.entry(
            """
            "name":"a/b","type":"reg","size":10,"modtime":"2020-02-29T12:34:56Z","linkName":"l","mode":33188,"uid":1,
            "gid":2,"userName":"u","groupName":"g","devMajor":3,"devMinor":4,"xattrs":{"user.x":"AAH/","user.y":""},
            "digest":"\(digest)","offset":5,"innerOffset":6,"chunkOffset":7,"chunkSize":8,"chunkDigest":"\(digest)",
            "NumLink":0,"somethingElse":[{"a":[1,-2.5e+3,true,false,null,"x"]},[]]
            """)
        #expect(entry.name == Array("a/b".utf8) && entry.type == "reg" && entry.size == 10 && entry.mode == 33188)
        #expect(entry.linkName == Array("l".utf8) && entry.uid == 1 && entry.gid == 2)
        #expect(entry.deviceMajor == 3 && entry.deviceMinor == 4)
        #expect(entry.modifiedSeconds == 1_582_979_696 && entry.modifiedNanoseconds == 0)
        #expect(entry.xattrs.map(\.name) == [Array("user.x".utf8), Array("user.y".utf8)])
        #expect(entry.xattrs.map(\.value) == [[0, 1, 255], []])
        #expect(entry.digest == Digest(digest) && entry.chunkDigest == Digest(digest))
        #expect(entry.offset == 5 && entry.innerOffset == 6 && entry.chunkOffset == 7 && entry.chunkSize == 8)
    }

    @Test(
        arguments: [
            ("2021-03-04T05:06:07Z", 1_614_834_367, 0), ("1970-01-01T00:00:00Z", 0, 0),
            ("1969-12-31T23:59:59Z", -1, 0), ("0001-01-01T00:00:00Z", -62_135_596_800, 0),
            ("9999-12-31T23:59:59Z", 253_402_300_799, 0), ("2000-02-29T00:00:00.5Z", 951_782_400, 500_000_000),
            ("2021-03-04T05:06:07.123456789Z", 1_614_834_367, 123_456_789),
            ("2021-03-04T05:06:07.1234567891Z", 1_614_834_367, 123_456_789),
            ("2021-03-04T07:36:07+02:30", 1_614_834_367, 0),
            ("2021-03-03T21:06:07.25-08:00", 1_614_834_367, 250_000_000),
        ] as [(String, Int64, UInt32)])
    func times(text: String, seconds: Int64, nanoseconds: UInt32) throws {
        let entry = try Self.entry(#""modtime":"\#(text)""#)
        #expect(entry.modifiedSeconds == seconds && entry.modifiedNanoseconds == nanoseconds)
    }

    @Test(arguments: [
        "", "2021", "2021-03-04", "2021-03-04 05:06:07Z", "2021-13-04T05:06:07Z", "2021-00-04T05:06:07Z",
        "2021-02-29T05:06:07Z", "1900-02-29T00:00:00Z", "2021-03-00T05:06:07Z", "2021-03-04T24:00:00Z",
        "2021-03-04T05:60:07Z", "2021-03-04T05:06:60Z", "2021-03-04T05:06:07", "2021-03-04T05:06:07.Z",
        "2021-03-04T05:06:07z", "2021-03-04T05:06:07+0230", "2021-03-04T05:06:07+25:00", "2021-03-04T05:06:07ZZ",
        "20a1-03-04T05:06:07Z", "-021-03-04T05:06:07Z",
    ])
    func badTimes(text: String) {
        #expect(failure { try Self.entry(#""modtime":"\#(text)""#) } == .badTOC)
    }

    @Test(arguments: [
        (#"plain"#, "plain"), (#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"), (#"\u0041\u00e9\u20AC"#, "Aé€"),
        (#"\ud83d\ude00"#, "😀"), ("é€😀 raw", "é€😀 raw"), (#"a\u003cb\u003e"#, "a<b>"),
        (#"mixed é \u00e9"#, "mixed é é"),
        (String(repeating: "long ", count: 1000), String(repeating: "long ", count: 1000)),
    ])
    func strings(text: String, expected: String) throws {
        #expect(try Self.entry(#""name":"\#(text)""#).name == Array(expected.utf8))
        // The scanner also accepts escapes in a key.
        #expect(try Self.entry(#""n\u0061me":"\#(text)""#).name == Array(expected.utf8))
    }

    @Test(arguments: [
        #""name":"\x""#, #""name":"\u12""#, #""name":"\ud83d""#, #""name":"\ud83dA""#, #""name":"\ude00""#,
        "\"name\":\"a\nb\"", "\"name\":\"a\u{0}b\"", #""name":"open"#, #""name":5"#, #""name":["a"]"#, #""size":"5""#,
        #""size":-1"#, #""size":1.0"#, #""size":1e3"#, #""size":01"#, #""size":99999999999999999999"#,
        #""size":9223372036854775808"#, #""uid":4294967296"#, #""gid":-5"#, #""mode":-1"#, #""offset":-1"#,
        #""chunkSize":-4"#, #""innerOffset":-4"#, #""devMajor":-1"#, #""size":+1"#, #""size":0x10"#, #""size":NaN"#,
        #""name":"a","name":"b""#, #""size":1,"size":1"#, #""n\u0061me":"a","name":"b""#, #""size":null,"size":2"#,
        #""Name":"a""#, #""CHUNKDIGEST":"x""#, #""type":"socket""#, #""type":"Reg""#, #""type":"""#,
        #""type":"regular file""#,
        #""digest":"sha256:00""#, #""digest":"sha512:00""#,
        #""digest":"sha256:\#(String(repeating: "A", count: 64))""#,
        #""digest":"sha256:\#(String(repeating: "0", count: 63))g""#,
        #""digest":"SHA256:\#(String(repeating: "0", count: 64))""#,
        #""xattrs":{"a":"AA"}"#, #""xattrs":{"a":"AA=A"}"#, #""xattrs":{"a":"A==="}"#, #""xattrs":{"a":"AB=="}"#,
        #""xattrs":{"a":"AA==","a":"AA=="}"#, #""xattrs":["a"]"#, #""xattrs":{"a":5}"#, #""xattrs":{"a":"A A="}"#,
        #""name":"a",}"#, #""name":"a" "size":1"#, #""name" "a""#, #"name:"a""#, #"'name':'a'"#, #""x":tru"#,
        #""x":nul"#,
        #""x":-"#, #""x":1."#, #""x":1e"#, #""x":.5"#, #""x":[1,]"#, #""x":{"a"}"#, #""x":{"a":1,}"#, #""x":}"#,
        #""x":"\#(String(repeating: "[", count: 100))"#, #""x":\#(String(repeating: "[", count: 100_000))"#,
        #""x":\#(String(repeating: #"{"a":"#, count: 70))1\#(String(repeating: "}", count: 70))"#,
        "\"name\":\"lost \u{fffd}\"", #""name":"lost \ufffd""#, "\"linkName\":\"\u{fffd}\"",
    ])
    func badMembers(members: String) {
        #expect(failure { try Self.entry(members) } == .badTOC)
    }

    @Test func bytesThatAreNotUTF8() {
        for bytes in [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xc3], [0xf4, 0x90, 0x80, 0x80]] as [[UInt8]] {
            let json = Array(#"{"version":1,"entries":[{"name":"x"#.utf8) + bytes + Array(#"y"}]}"#.utf8)
            #expect(failure { try TableOfContents.entries(of: json) } == .badTOC)
        }
    }

    @Test(arguments: [
        "", " ", "[]", "null", "5", "{", "{}", #"{"version":1}"#, #"{"entries":[]}"#, #"{"version":2,"entries":[]}"#,
        #"{"version":0,"entries":[]}"#, #"{"version":"1","entries":[]}"#, #"{"version":1,"entries":{}}"#,
        #"{"version":1,"version":1,"entries":[]}"#, #"{"version":1,"entries":[],"entries":[]}"#,
        #"{"version":1,"entries":[],"entries":null}"#, #"{"version":1,"entries":[]}x"#,
        #"{"version":1,"entries":[]}{}"#,
        #"{"version":1,"entries":[{}"#, #"{"version":1,"entries":[{},]}"#, #"{"version":1,"entries":[5]}"#,
        #"{"version":1,"entries":[null]}"#, #"{"version":1,"entries":[{}]"#, #"{"version":1 "entries":[]}"#,
        #"{"version":1,"entries":[]},"#, "\u{feff}" + #"{"version":1,"entries":[]}"#, #"{"version":1,,"entries":[]}"#,
        #"{"version":1,"entries":[]}"# + "\u{0}", "\u{0}",
    ])
    func badDocuments(text: String) {
        #expect(failure { try Self.entries(text) } == .badTOC)
    }

    @Test(arguments: [
        (#"{"version":1,"entries":[]}"#, 0), (#"{"version":1,"entries":null}"#, 0),
        (#" { "entries" : [ ] , "version" : 1 } "#, 0),
        (#"{"x":{"y":[1]},"version":1,"entries":[{},{}],"tarSplitDigest":"sha256:…"}"#, 2),
        ("{\r\n\t\"version\": 1,\r\n\t\"entries\": [\r\n\t{ }\r\n]\n}\n\n", 1),
    ])
    func goodDocuments(text: String, count: Int) throws {
        #expect(try Self.entries(text).count == count)
        #expect(try TableOfContents.entryCount(of: Array(text.utf8)) == count)
    }

    /// Returns the same result for pieces of any size.
    @Test(arguments: [1, 2, 3, 7, 16, 100, 1000])
    func pieces(size: Int) throws {
        let blob = EstargzBlob.make([
            .directory("dïr/"), .file("dïr/\"quoted\"", "x").withAttribute("user.x", [1, 2, 3]),
            .symlink("l", to: "é\n"),
        ])
        let whole = try TableOfContents.entries(of: blob.tocJSON)
        let pieces = try TableOfContents.entries(of: blob.tocJSON, pieceSize: size)
        #expect("\(whole)" == "\(pieces)")
        #expect(whole.count == 3)
        // Between these two sizes, a truncation meets no other state of the scanner.
        for end in 0..<(size == 1 || size == 1000 ? blob.tocJSON.count : 0) {
            #expect(
                failure { try TableOfContents.entries(of: Array(blob.tocJSON[..<end]), pieceSize: size) } == .badTOC)
        }
    }

    @Test func tooManyAttributes() {
        var limits = LayerFormatLimits()
        limits.attributesPerEntry = 2
        let json = Array(#"{"version":1,"entries":[{"xattrs":{"a":"","b":"","c":""}}]}"#.utf8)
        #expect(failure { try TableOfContents.entries(of: json, limits: limits) } == .badTOC)
        #expect(failure { try TableOfContents.entries(of: json) } == nil)
    }
}
