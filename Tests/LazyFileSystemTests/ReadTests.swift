import Base
import ContentStore
import LayerIndex
import LazyFileSystem
import LazyFixtures
import Linux
import SystemPackage
import Testing

@Suite struct ReadTests {
    /// Returns bytes that depend on their position.
    static func pattern(_ count: Int, seed: Int = 0) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: ($0 &* 2_654_435_761 + seed) >> 7) }
    }

    static func read(_ files: LazyFileSystem, _ node: NodeID, _ offset: UInt64, _ count: Int, after: Miss? = nil)
        -> (ReadResult, [UInt8])
    {
        var buffer = [UInt8](repeating: 0xEE, count: count)
        let result = buffer.withUnsafeMutableBytes { files.read(node, at: offset, into: $0, after: after) }
        return (result, buffer)
    }

    /// Reads like a server: demands the chunks of each miss and reads again.
    static func readThrough(_ files: LazyFileSystem, _ node: NodeID, _ offset: UInt64, _ count: Int) throws -> [UInt8] {
        var miss: Miss?
        for _ in 0..<8 {
            let (result, bytes) = read(files, node, offset, count, after: miss)
            switch result {
            case .bytes(let count): return Array(bytes[..<count])
            case .failed(let error): throw error
            case .missing(let missing):
                miss = missing
                _ = files.demand(missing) { _ in }
            }
        }
        throw Child.Failure(what: "the read never ended")
    }

    enum Base: CaseIterable { case first, second, last }

    static let chunk = 8192
    static let matrix: [(size: Int, inner: Int, base: Base, file: Int)] =
        [100, 8192, 20_000].flatMap { size in
            [0, 3000].flatMap { inner in
                Base.allCases.flatMap { base in
                    [8192, 16_384, 50_000].map { (size, inner, base, $0) }
                }
            }
        }

    @Test(arguments: matrix)
    func readsEveryRangeWithItsChunksOnly(size: Int, inner: Int, base: Base, file: Int) throws {
        try withTemporaryDirectory { directory in
            let fixture = try StoreFixture(root: directory)
            var layer = LayerFixture()
            layer.file("before", Self.pattern(5000, seed: 1), chunk: Self.chunk)
            let bytes = Self.pattern(file, seed: 2)
            layer.file("file", bytes, chunk: Self.chunk)
            layer.file("after", Self.pattern(5000, seed: 3), chunk: Self.chunk)
            try fixture.mount([layer])
            let chunks = (file + Self.chunk - 1) / Self.chunk
            let start: Int
            switch base {
            case .first: start = inner
            case .second: start = Self.chunk + inner
            case .last: start = (chunks - 1) * Self.chunk + inner
            }
            let node = try fixture.status("file").id
            let read = try Self.readThrough(fixture.fileSystem, node, UInt64(start), size)
            let end = min(start + size, file)
            #expect(read == (start < file ? Array(bytes[start..<end]) : []))
            // Chunk 0 of the layer belongs to the file before this one.
            let needed = start < file ? (1 + start / Self.chunk)..<(2 + (end - 1) / Self.chunk) : 0..<0
            #expect(fixture.source.requests.map(\.chunks) == (needed.isEmpty ? [] : [needed]))
            // The second read comes from the store.
            _ = try Self.readThrough(fixture.fileSystem, node, UInt64(start), size)
            #expect(fixture.source.requests.count == (needed.isEmpty ? 0 : 1))
        }
    }

    @Test func missesFromTheFirstGap() throws {
        try withTemporaryDirectory { directory in
            let fixture = try StoreFixture(root: directory)
            var layer = LayerFixture()
            layer.file("file", Self.pattern(5 * 4096), chunk: 4096)
            let (_, contents) = try fixture.mount([layer])
            try fixture.source.publish(contents[0], 0..<2)
            try fixture.source.publish(contents[0], 3..<4)
            let node = try fixture.status("file").id
            guard case .bytes(8192) = Self.read(fixture.fileSystem, node, 0, 8192).0 else {
                Issue.record("what is there is not read")
                return
            }
            guard case .missing(let miss) = Self.read(fixture.fileSystem, node, 0, 5 * 4096).0 else {
                Issue.record("a gap was not seen")
                return
            }
            #expect(miss.chunks == 2..<5)
        }
    }

    @Test(arguments: [UInt64(10), 11, 4096, .max, .max - 3])
    func readsNothingPastTheEnd(offset: UInt64) throws {
        try withTemporaryDirectory { directory in
            let fixture = try StoreFixture(root: directory)
            var layer = LayerFixture()
            layer.file("file", Self.pattern(10))
            layer.file("empty")
            try fixture.mount([layer])
            for path in ["file", "empty"] {
                let (result, _) = Self.read(fixture.fileSystem, try fixture.status(path).id, offset, 4096)
                guard case .bytes(0) = result else {
                    Issue.record("\(result)")
                    return
                }
            }
        }
    }

    @Test func servesTheContentSpaceAsFiles() throws {
        try withTemporaryDirectory { directory in
            let fixture = try StoreFixture(root: directory)
            var layer = LayerFixture()
            layer.file("a", Self.pattern(5000, seed: 1))
            layer.file("b", Self.pattern(100, seed: 2))
            let (_, contents) = try fixture.mount([layer])
            let file = try #require(try fixture.fileSystem.find(.content, contents[0].key.id.hex))
            #expect(file.size == contents[0].chunks.contentSize && file.isRegularFile)
            let bytes = try Self.readThrough(fixture.fileSystem, file.id, 0, Int(file.size))
            #expect(Array(bytes[..<5000]) == Self.pattern(5000, seed: 1))
            #expect(Array(bytes[8192..<8292]) == Self.pattern(100, seed: 2))
            #expect(bytes[5000..<8192].allSatisfy { $0 == 0 })
        }
    }

    @Test func reportsReadsOfOtherChunks() throws {
        try withTemporaryDirectory { directory in
            let fixture = try StoreFixture(root: directory)
            var layer = LayerFixture()
            layer.file("file", Self.pattern(4 * 65_536), chunk: 65_536)
            let (_, contents) = try fixture.mount([layer])
            try fixture.complete(contents)
            let node = try fixture.status("file").id
            for offset in stride(from: 0, to: 4 * 65_536, by: 4096) {
                _ = Self.read(fixture.fileSystem, node, UInt64(offset), 4096)
            }
            #expect(fixture.source.notes.map(\.chunks) == [0..<1, 1..<2, 2..<3, 3..<4])
        }
    }

    @Test func refetchesUnreadableBytesOnce() throws {
        try withTemporaryDirectory { directory in
            let fixture = try StoreFixture(root: directory)
            var layer = LayerFixture()
            let bytes = Self.pattern(6 * 4096)
            layer.file("file", bytes, chunk: 4096)
            let (_, contents) = try fixture.mount([layer])
            try fixture.complete(contents)
            let node = try fixture.status("file").id
            // Cut off half of the content file.
            let file = try Sys.open(contents[0].contentPath, .readWrite)
            try Sys.ftruncate(file.raw, size: 3 * 4096)
            #expect(try Self.readThrough(fixture.fileSystem, node, 0, bytes.count) == bytes)
            #expect(fixture.source.requests.count >= 1)
            #expect(try Self.readThrough(fixture.fileSystem, node, 0, bytes.count) == bytes)
        }
    }

    @Test func failsWhenBytesStayUnreadable() throws {
        try withTemporaryDirectory { directory in
            let fixture = try StoreFixture(root: directory)
            var layer = LayerFixture()
            layer.file("file", Self.pattern(4096), chunk: 4096)
            let (_, contents) = try fixture.mount([layer])
            try fixture.complete(contents)
            let node = try fixture.status("file").id
            let file = try Sys.open(contents[0].contentPath, .readWrite)
            var miss: Miss?
            for _ in 0..<2 {
                try Sys.ftruncate(file.raw, size: 0)
                switch Self.read(fixture.fileSystem, node, 0, 4096, after: miss).0 {
                case .missing(let missing):
                    #expect(miss == nil)
                    miss = missing
                    _ = fixture.fileSystem.demand(missing) { _ in }
                case .failed(let error):
                    #expect(miss != nil && error.errno == .ioError)
                    return
                case .bytes(let count):
                    Issue.record("\(count) bytes of a file that is empty")
                    return
                }
            }
            Issue.record("it never became an error")
        }
    }

    @Test func keepsALayerAliveWhileAReadWaits() throws {
        try withTemporaryDirectory { directory in
            let fixture = try StoreFixture(root: directory)
            var layer = LayerFixture()
            layer.file("file", Self.pattern(4096))
            let (id, _) = try fixture.mount([layer])
            let node = try fixture.status("file").id
            guard case .missing(let miss) = Self.read(fixture.fileSystem, node, 0, 4096).0 else {
                Issue.record("nothing was missing")
                return
            }
            fixture.fileSystem.removeChain(id)
            _ = fixture.fileSystem.demand(miss) { #expect($0 == .available) }
            #expect(miss.layer.isComplete)
            guard case .failed(let error) = Self.read(fixture.fileSystem, node, 0, 4096, after: miss).0 else {
                Issue.record("a removed chain was read")
                return
            }
            #expect(error.code == .stale)
        }
    }
}
