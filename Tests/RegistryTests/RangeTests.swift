import Base
import NIOCore
import Registry
import TestRegistry
import Testing

/// Tests of ranges against the behavior of real servers.
///
/// - Google Cloud Storage answers 400 to several ranges.
/// - ECR and S3-backed distribution answer 200 to several ranges.
/// - zot omits Content-Type, and formerly answered 416.
/// - Azure lacks suffix ranges.
/// - distribution with a cold cache answers 200 first.
struct RangeTests {
    static let size = 3 << 20
    static let modes: [Behaviour.Ranges] = [
        .honoured, .ignoredFirst(1), .multipart(parts: 1), .multipart(parts: 3), .suffixRefused(400),
        .suffixRefused(416),
        .suffixRefused(501), .suffixIgnored, .shortened(700_000), .sizeless,
    ]
    static let selections: [(BlobSelection, Range<Int>)] = [
        (.suffix(1000), size - 1000..<size), (.suffix(2_000_000), size - 2_000_000..<size),
        (.range(ByteRange(offset: 0, end: 5000)), 0..<5000),
        (.range(ByteRange(offset: 2_000_000, end: 2_100_000)), 2_000_000..<2_100_000),
        (.range(ByteRange(offset: UInt64(size) - 1, end: UInt64(size) + 500)), size - 1..<size), (.whole, 0..<size),
    ]

    @Test("returns the right bytes for every server behavior", arguments: modes, [false, true])
    func returnsRightBytesForEveryServerBehavior(_ mode: Behaviour.Ranges, _ isBare: Bool) async throws {
        let bytes = pattern(Self.size)
        var behaviour = Behaviour()
        behaviour.ranges = mode
        if isBare {
            behaviour.omitsContentLength = true
            if case .multipart = mode {} else { behaviour.omitsContentType = true }
        }
        // If a server never reports a blob's size, the caller must know it.
        let known = mode == .sizeless && isBare ? UInt64(Self.size) : nil
        for (selection, expected) in Self.selections {
            try await TestRegistry.withRegistry(behaviour) { registry in
                let digest = registry.addBlob(bytes)
                try await withClient(configuration()) { client in
                    let stream = try await client.open(
                        registry.location(digest), selection, priority: .demand, knownSize: known)
                    #expect(stream.blobSize == UInt64(Self.size))
                    #expect(
                        stream.range == ByteRange(offset: UInt64(expected.lowerBound), end: UInt64(expected.upperBound))
                    )
                    let read = try await stream.collect(maximumSize: Self.size)
                    #expect(read == Array(bytes[expected]), "\(mode) \(selection)")
                }
            }
        }
    }

    static let several: [Range<Int>] = [10..<5000, 6000..<6001, 900_000..<1_200_000, 2_999_000..<3 << 20]

    /// Whatever a server does with several ranges, each of their bytes arrives exactly once, and no other byte does.
    /// The client does not ask for several ranges again at a server that sent only one.
    @Test(
        "returns several ranges in order",
        arguments: [
            Behaviour.Ranges.honoured, .severalRefused(400), .severalRefused(416), .severalRefused(501),
            .severalIgnored,
            .firstOfSeveral, .ignoredFirst(1),
        ])
    func returnsSeveralRangesInOrder(_ mode: Behaviour.Ranges) async throws {
        let bytes = pattern(Self.size)
        var behaviour = Behaviour()
        behaviour.ranges = mode
        try await TestRegistry.withRegistry(behaviour) { registry in
            let digest = registry.addBlob(bytes)
            try await withClient(configuration()) { client in
                let ranges = Self.several.map {
                    ByteRange(offset: UInt64($0.lowerBound), end: UInt64($0.upperBound))
                }
                for round in 0..<2 {
                    let before = registry.requests.count
                    let stream = try await client.open(
                        registry.location(digest), .ranges(ranges), priority: .background,
                        knownSize: UInt64(Self.size))
                    #expect(stream.ranges == ranges)
                    var read: [UInt8] = []
                    for try await buffer in stream { read += Array(buffer.readableBytesView) }
                    #expect(read == Self.several.flatMap { Array(bytes[$0]) }, "\(mode)")
                    let asked = registry.requests.dropFirst(before).compactMap(\.range)
                    if mode == .honoured || mode == .ignoredFirst(1) {
                        #expect(asked.count { $0.contains(",") } == 1)
                    } else {
                        // The first two ranges are so close that one request fetches both.
                        #expect(asked.filter { !$0.contains(",") }.count == 3, "\(asked)")
                        #expect(asked.count { $0.contains(",") } == (round == 0 ? 1 : 0))
                    }
                }
            }
        }
    }

    @Test("resumes several ranges where they broke") func resumesSeveralRangesWhereTheyBroke() async throws {
        let bytes = pattern(Self.size)
        try await TestRegistry.withRegistry { registry in
            let digest = registry.addBlob(bytes)
            for count in [200_000, 100, 6000] { registry.inject(.breakBody(after: count)) }
            try await withClient(configuration()) { client in
                let ranges = Self.several.map {
                    ByteRange(offset: UInt64($0.lowerBound), end: UInt64($0.upperBound))
                }
                let stream = try await client.open(
                    registry.location(digest), .ranges(ranges), priority: .demand, knownSize: UInt64(Self.size))
                let read = try await stream.collect(maximumSize: Self.size)
                #expect(read == Self.several.flatMap { Array(bytes[$0]) })
            }
        }
    }

    @Test(
        "rejects invalid sets of ranges",
        arguments: [
            [], [ByteRange(offset: 5, end: 9), ByteRange(offset: 9, end: 9)],
            [ByteRange(offset: 50, end: 90), ByteRange(offset: 9, end: 51)],
            [ByteRange(offset: 0, end: 4), ByteRange(offset: 8, end: UInt64(size) + 1)],
            (0...UInt64(BlobSelection.maximumRanges)).map { ByteRange(offset: $0 * 10, end: $0 * 10 + 5) },
        ])
    func rejectsInvalidSetsOfRanges(_ ranges: [ByteRange]) async throws {
        try await TestRegistry.withRegistry { registry in
            let digest = registry.addBlob(pattern(Self.size))
            try await withClient(configuration()) { client in
                let error = await failure {
                    _ = try await client.open(
                        registry.location(digest), .ranges(ranges), priority: .demand, knownSize: UInt64(Self.size))
                }
                #expect(error?.code == .rangeNotSatisfiable)
            }
        }
    }

    @Test("detects an ignored range without reading the body") func detectsIgnoredRangeWithoutReadingBody() async throws
    {
        var behaviour = Behaviour()
        behaviour.ranges = .ignored
        try await TestRegistry.withRegistry(behaviour) { registry in
            let digest = registry.addBlob(pattern(Self.size))
            try await withClient(configuration()) { client in
                let range = BlobSelection.range(ByteRange(offset: 2 << 20, end: 3 << 20))
                let error = await failure {
                    _ = try await client.open(registry.location(digest), range, priority: .demand)
                }
                #expect(error?.code == .rangeIgnored)
                #expect(client.bytesReceived == 0)
                #expect(client.counters.abandoned.value == 2)
                // If the range begins near the start, the client skips to it. It reads the rest only on demand.
                let near = try await client.open(
                    registry.location(digest), .range(ByteRange(offset: 1 << 20, end: (1 << 20) + 10)),
                    priority: .demand)
                #expect(try await near.collect(maximumSize: 10).count == 10)
                #expect(client.bytesReceived < 2 << 20)
            }
        }
    }

    @Test("tries suffix ranges once per host") func triesSuffixRangesOncePerHost() async throws {
        var behaviour = Behaviour()
        behaviour.ranges = .suffixRefused(400)
        try await TestRegistry.withRegistry(behaviour) { registry in
            let digests = (1...3).map { registry.addBlob(pattern(10_000, seed: $0)) }
            try await withClient(configuration()) { client in
                for digest in digests {
                    _ = try await client.open(registry.location(digest), .suffix(10), priority: .demand).collect(
                        maximumSize: 10)
                }
                let suffixes = registry.requests(.blob).filter { $0.range?.hasPrefix("bytes=-") == true }
                #expect(suffixes.count == 1)
                #expect(registry.requests(.blob).count == 1 + 2 * 3)
            }
        }
    }

    @Test("a known size needs no suffix") func knownSizeNeedsNoSuffix() async throws {
        try await TestRegistry.withRegistry { registry in
            let bytes = pattern(10_000)
            let digest = registry.addBlob(bytes)
            try await withClient(configuration()) { client in
                let stream = try await client.open(
                    registry.location(digest), .suffix(10), priority: .demand, knownSize: 10_000)
                #expect(try await stream.collect(maximumSize: 10) == Array(bytes.suffix(10)))
                #expect(registry.requests.map(\.range) == ["bytes=9990-9999"])
                let error = await failure {
                    _ = try await client.open(
                        registry.location(digest), .suffix(10), priority: .demand, knownSize: 9_000)
                }
                #expect(error?.code == .malformedAnswer)
            }
        }
    }

    @Test("rejects a wrong response", arguments: [Behaviour.Ranges.shifted(5), .unstated])
    func rejectsWrongResponse(_ mode: Behaviour.Ranges) async throws {
        var behaviour = Behaviour()
        behaviour.ranges = mode
        try await TestRegistry.withRegistry(behaviour) { registry in
            let digest = registry.addBlob(pattern(10_000))
            try await withClient(configuration()) { client in
                let range = BlobSelection.range(ByteRange(offset: 10, end: 20))
                let error = await failure {
                    _ = try await client.open(registry.location(digest), range, priority: .demand)
                }
                #expect(error?.code == .malformedAnswer)
            }
        }
    }

    @Test("a range beyond the end is not satisfiable") func rangeBeyondEndIsNotSatisfiable() async throws {
        try await TestRegistry.withRegistry { registry in
            let digest = registry.addBlob(pattern(100))
            try await withClient(configuration()) { client in
                for range in [ByteRange(offset: 100, end: 200), ByteRange(offset: 5, end: 5)] {
                    let error = await failure {
                        _ = try await client.open(registry.location(digest), .range(range), priority: .demand)
                    }
                    #expect(error?.code == .rangeNotSatisfiable)
                }
            }
        }
    }

    @Test(
        "parses Content-Range",
        arguments: [
            ("bytes 0-9/10", ByteRange(offset: 0, end: 10) as ByteRange?, 10 as UInt64?),
            ("bytes 5-5/*", ByteRange(offset: 5, end: 6), nil),
            ("Bytes  1-2/ 3", ByteRange(offset: 1, end: 3), 3), ("bytes */77", nil, 77),
        ])
    func parsesContentRange(_ text: String, _ range: ByteRange?, _ size: UInt64?) {
        let value = ContentRange(text)
        #expect(value?.range == range)
        #expect(value?.size == size)
        #expect(value != nil)
    }

    @Test(
        "rejects malformed Content-Range",
        arguments: [
            "", "bytes", "bytes 1-2", "items 0-1/2", "bytes 2-1/9", "bytes 0-9/9", "bytes -1-2/9", "bytes 0-1/-2",
            "bytes */*",
            "bytes 0-18446744073709551615/*", "bytes 0-99999999999999999999999/*", "bytes 0-1/2/3", "bytes +0-1/2",
        ])
    func rejectsMalformedContentRange(_ text: String) {
        #expect(ContentRange(text) == nil)
    }

    @Test("parses multipart byte by byte") func parsesMultipartByteByByte() throws {
        let body =
            "preamble\r\n--B\r\nContent-Type: a/b\r\ncontent-range: bytes 3-6/20\r\n\r\n--B\n\r\n--B  \r\n"
            + "Content-Range: bytes 7-8/20\r\n\r\nxy\r\n--B--\r\n"
        var parser = MultipartParser(boundary: "B")
        var text = ""
        var parts: [ByteRange] = []
        var ended = false
        for byte in body.utf8 {
            parser.receive(ByteBuffer(bytes: [byte]))
            loop: while true {
                switch try parser.next() {
                case .part(let range, let size):
                    parts.append(range)
                    #expect(size == 20)
                case .bytes(let buffer): text += String(buffer: buffer)
                case .end:
                    ended = true
                    break loop
                case .needMore: break loop
                }
            }
        }
        #expect(parts == [ByteRange(offset: 3, end: 7), ByteRange(offset: 7, end: 9)])
        #expect(text == "--B\nxy")
        #expect(ended)
    }

    @Test(
        "rejects malformed multipart",
        arguments: [
            "--B\r\n\r\n", "--B\r\nContent-Range: bytes 9-1/2\r\n\r\n", String(repeating: "x", count: 5000),
            String(repeating: "x\n", count: 500),
        ])
    func rejectsMalformedMultipart(_ body: String) {
        #expect(throws: RegistryError.self) {
            var parser = MultipartParser(boundary: "B")
            parser.receive(ByteBuffer(string: body))
            while try parser.next() != .needMore {}
        }
    }
}
