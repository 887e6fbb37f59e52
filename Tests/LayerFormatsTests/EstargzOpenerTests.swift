import Base
import LayerFormats
import LayerIndex
import TestSupport
import Testing

/// Tests of an opener's requests, and of its use of the answers.
@Suite struct EstargzOpenerTests {
    static let entries: [TarEntry] = [
        .directory("a/"), .file("a/b", "hello"), .file("a/c", Samples.noise(bytes: 300_000, seed: 1)),
    ]

    @Test(arguments: [EstargzOptions.Footer.standard, .legacy, .external])
    func opensWithOneRequest(footer: EstargzOptions.Footer) throws {
        var options = EstargzOptions()
        options.footer = footer
        let blob = EstargzBlob.make(Self.entries, options)
        var requests: [BlobRequest] = []
        let layer = try OpenedLayer(blob.open { requests.append($0) }, of: blob)
        #expect(requests == [.suffix(32 << 10)])
        #expect(try layer.contents("a/b") == Array("hello".utf8))
        #expect(try layer.contents("a/c") == Self.entries[2].contents)
    }

    @Test func asksOnceMoreForTheRestOfTheTOC() throws {
        var random = SeededRandom(seed: 5)
        let names = (0..<8000).map { _ in String(random.next(), radix: 36) + String(random.next(), radix: 36) }
        let blob = EstargzBlob.make(
            [.file("data", Samples.noise(bytes: 100_000, seed: 1))] + names.map { .directory($0) })
        var requests: [BlobRequest] = []
        let layer = try OpenedLayer(blob.open { requests.append($0) }, of: blob)
        let tail = UInt64(blob.bytes.count - 32 << 10)
        #expect(requests == [.suffix(32 << 10), .range(ByteRange(offset: UInt64(blob.tocOffset), end: tail))])
        #expect(layer.nodes.count == 8002)
    }

    @Test(
        arguments: [
            (0, 256 << 10), (100, 100), (1 << 20, 32 << 10), (7 << 20, 64 << 10), (32 << 20, 256 << 10),
            (128 << 20, 1 << 20),
            (1 << 40, 1 << 20),
        ] as [(UInt64, UInt64)])
    func firstRequest(blobSize: UInt64, expected: UInt64) {
        #expect(TOCOpener.firstRequestSize(blobSize: blobSize) == expected)
    }

    @Test func theSameRequestUntilItIsAnswered() throws {
        var opener = EstargzFormat().opener(for: EstargzBlob.make(Self.entries).description())
        for _ in 0..<3 {
            guard case .read(.suffix(32 << 10)) = try opener.next() else {
                Issue.record("another request")
                return
            }
        }
    }

    @Test func anUnknownSizeIsLearnt() throws {
        let blob = EstargzBlob.make(Self.entries)
        var description = blob.description()
        description.size = 0
        var opener = EstargzFormat().opener(for: description)
        _ = try opener.next()
        // The registry may send the whole blob.
        let range = ByteRange(offset: 0, end: UInt64(blob.bytes.count))
        try opener.receive(blob.bytes, range: range, blobSize: range.end)
        guard case .done(let index) = try opener.next() else {
            Issue.record("not done")
            return
        }
        #expect(try ChunkTable(bytes: index.chunks).blobSize == range.end)
    }

    struct Answer: Sendable {
        var offset: Int
        var count: Int
        var size: Int
    }

    /// Rejects answers to other requests: from another blob, not at the end, or shorter than they claim.
    @Test(arguments: [
        Answer(offset: -100, count: 100, size: 1), Answer(offset: -100, count: 99, size: 0),
        Answer(offset: -200, count: 100, size: 0), Answer(offset: -50, count: 50, size: 0),
        Answer(offset: -100, count: 0, size: 0),
    ])
    func refusesOtherAnswers(answer: Answer) throws {
        let blob = EstargzBlob.make(Self.entries)
        var opener = EstargzFormat().opener(for: blob.description())
        _ = try opener.next()
        let start = blob.bytes.count + answer.offset
        let range = ByteRange(
            offset: UInt64(start), end: UInt64(answer.offset == -200 ? start + 100 : blob.bytes.count))
        let error = #expect(throws: LayerFormatError.self) {
            try opener.receive(
                Array(blob.bytes[start..<start + answer.count]), range: range,
                blobSize: UInt64(blob.bytes.count + answer.size))
        }
        #expect(error?.code == .badResponse)
        #expect(throws: LayerFormatError.self) { try opener.next() }
    }

    @Test func bytesThatWereNotAskedForAreRefused() throws {
        let blob = EstargzBlob.make(Self.entries)
        let range = ByteRange(offset: 0, end: UInt64(blob.bytes.count))
        var opener = EstargzFormat().opener(for: blob.description())
        #expect(throws: LayerFormatError.self) {
            try opener.receive(blob.bytes, range: range, blobSize: range.end)
        }
        var second = EstargzFormat().opener(for: blob.description())
        #expect(throws: LayerFormatError.self) { try second.receiveCompanion([]) }
    }

    @Test func anOrdinaryLayerIsNotEstargz() throws {
        var options = EstargzOptions()
        options.footer = .none
        let blob = EstargzBlob.make(Self.entries, options)
        #expect(throws: LayerFormatError.self) { try blob.open() }
        #expect(failure { try blob.open() } == .otherFormat)
        #expect(failure { try blob.open(annotated: false) } == .unverified)
        #expect(failure { try blob.open(allowUnverifiedTOC: true, annotated: false) } == .otherFormat)
    }

    @Test func gzipIsNotZstd() throws {
        let blob = EstargzBlob.make(Self.entries)
        var description = blob.description()
        description.mediaType = "application/vnd.oci.image.layer.v1.tar+zstd"
        var opener = try LayerFormatRegistry.standard.opener(for: description)
        _ = try opener.next()
        let range = ByteRange(offset: 0, end: UInt64(blob.bytes.count))
        #expect(failure { try opener.receive(blob.bytes, range: range, blobSize: range.end) } == .otherFormat)
    }

    @Test func verificationIsAskedFor() throws {
        let blob = EstargzBlob.make(Self.entries)
        #expect(failure { try blob.open(annotated: false) } == .unverified)
        #expect(try OpenedLayer(blob.open(allowUnverifiedTOC: true, annotated: false), of: blob).nodes.count == 4)
        // An annotation counts even if none is required.
        var description = blob.description()
        description.annotations[EstargzBlob.tocDigestAnnotation] = "sha512:00"
        var opener = EstargzFormat().opener(
            for: description, options: LayerOpenOptions(allowUnverifiedTOC: true))
        #expect(failure { try opener.next() } == .unverified)
    }

    @Test func limitsHold() {
        var options = EstargzOptions()
        options.footer = .external
        let blob = EstargzBlob.make(Self.entries)
        let external = EstargzBlob.make(Self.entries, options)
        var limits = LayerFormatLimits()
        limits.compressedTOC = 100
        #expect(failure { try blob.open(limits: limits) } == .limit)
        #expect(failure { try external.open(limits: limits) } == .limit)
        limits = LayerFormatLimits()
        limits.uncompressedTOC = UInt64(blob.tocJSON.count - 1)
        #expect(failure { try blob.open(limits: limits) } == .limit)
        limits.uncompressedTOC += 1
        #expect(failure { try blob.open(limits: limits) } == nil)
        limits.index.entryCount = 3
        #expect(failure { try blob.open(limits: limits) } == .limit)
        limits = LayerFormatLimits()
        limits.index.chunkLength = 1000
        #expect(failure { try blob.open(limits: limits) } == .badTOC)
    }
}

/// Returns the code of the error that `body` throws; `nil` if it throws none.
func failure(_ body: () throws -> some Any) -> LayerFormatError.Code? {
    do {
        _ = try body()
        return nil
    } catch let error as LayerFormatError {
        return error.code
    } catch {
        Issue.record("another error: \(error)")
        return nil
    }
}
