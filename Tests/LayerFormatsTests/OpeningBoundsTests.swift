import Base
import LayerFormats
import LayerIndex
import TestSupport
import Testing

/// The bounds of opening one layer: time, memory, and the ratio of compression.
@Suite struct OpeningBoundsTests {
    private static let entries: [TarEntry] = [.directory("d"), .file("d/f", "content")]

    /// Returns an opener that has received everything and whose next step creates the index.
    private static func ready(_ blob: EstargzBlob) throws -> any LayerOpener {
        var opener = EstargzFormat().opener(for: blob.description())
        #expect(opener.memory == nil, "the first step is a cheap one")
        guard case .read(.suffix) = try opener.next() else { throw LayerFormatError(.badResponse, "no suffix") }
        try opener.receive(
            blob.bytes, range: ByteRange(offset: 0, end: UInt64(blob.bytes.count)), blobSize: UInt64(blob.bytes.count))
        return opener
    }

    @Test("stops at the deadline") func stopsAtDeadline() throws {
        var opener = try Self.ready(EstargzBlob.make(Self.entries))
        let error = #expect(throws: LayerFormatError.self) { _ = try opener.next(by: WorkDeadline { true }) }
        #expect(error?.code == .deadline)
    }

    @Test("estimates the memory from the sizes of the table of contents") func estimatesMemory() throws {
        let blob = EstargzBlob.make(Self.entries)
        var opener = try Self.ready(blob)
        let need = try #require(opener.memory)
        #expect(need.most - need.least >= UInt64(blob.tocJSON.count * 2))
        #expect(need.most < 10 << 20)
        opener.limitMemory(to: need.most)
        guard case .done = try opener.next() else {
            Issue.record("the index is not there")
            return
        }
    }

    @Test("refuses a table whose entries take more memory than was reserved") func limitsMemory() throws {
        let blob = EstargzBlob.make((0..<2000).map { .directory("d\($0)") })
        var opener = try Self.ready(blob)
        opener.limitMemory(to: 4 << 20)
        let error = #expect(throws: LayerFormatError.self) { _ = try opener.next() }
        #expect(error?.code == .limit)
    }

    @Test("refuses a table that is compressed too well") func limitsRatio() throws {
        let spaces = EstargzBlob.make([]).replacingTOC([UInt8](repeating: 0x20, count: 17 << 20))
        #expect(failure { try spaces.open() } == .limit)
    }

    @Test("accepts a list of attributes only if no name occurs twice") func checksAttributeNames() throws {
        func open(_ names: [String]) -> LayerFormatError.Code? {
            let list = names.map { #""\#($0)":"""# }.joined(separator: ",")
            let json = #"{"version":1,"entries":[{"name":"f","type":"reg","xattrs":{\#(list)}}]}"#
            return failure { try EstargzBlob.make([]).replacingTOC(Array(json.utf8)).open() }
        }
        let names = (0..<512).map { "user.\($0)" }
        #expect(open(names) == nil)
        #expect(open(names.dropLast() + ["user.0"]) == .badTOC)
        #expect(open(names + ["user.512"]) == .badTOC)
    }

    // MARK: - Indexes of artifacts

    private static func opener(_ blob: [UInt8]) throws -> any LayerOpener {
        var opener = IndexedFormat().opener(
            for: LayerDescription(
                digest: .of([1]), size: 100, mediaType: "", annotations: [:],
                index: LayerDescription.Index(
                    digest: .of(blob), diffID: .of([2]), source: (.of([1]), 100), windows: nil)))
        _ = try opener.next()
        try opener.receiveCompanion(blob)
        return opener
    }

    private static func index(treeBytes count: Int) throws -> [UInt8] {
        try LayerIndexBlob.encode(
            LayerIndexBytes(tree: [UInt8](repeating: 0, count: count), chunks: []), blobDigest: .of([1]),
            diffID: .of([2]))
    }

    @Test("refuses an index that is compressed too well") func limitsRatioOfIndex() throws {
        var small = try Self.opener(try Self.index(treeBytes: 1 << 20))
        #expect(failure { try small.next() } == .badTOC, "zeros are no tree")
        var large = try Self.opener(try Self.index(treeBytes: 5 << 20))
        #expect(failure { try large.next() } == .limit)
    }

    @Test("estimates the memory of an index from its header, and keeps to the limit") func limitsIndex() throws {
        let blob = try Self.index(treeBytes: 1 << 20)
        var opener = try Self.opener(blob)
        let need = try #require(opener.memory)
        #expect(need.least == need.most && need.most >= 2 << 20 && need.most < 12 << 20)
        opener.limitMemory(to: need.most - 1)
        #expect(failure { try opener.next() } == .limit)
    }
}
