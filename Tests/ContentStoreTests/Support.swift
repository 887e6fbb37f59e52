import Base
import ContentStore
import LayerIndex
import LazyFixtures
import Linux
import SystemPackage
import Testing

/// The files that a store quarantined.
final class Reports: Sendable {
    private let all = Guarded<[QuarantinedFile]>([])

    func add(_ item: QuarantinedFile) { all.withLock { $0.append(item) } }

    var items: [QuarantinedFile] { all.withLock { $0 } }
}

/// The identifiers of two boots of one machine.
let boots = ["11111111-2222-3333-4444-555555555555", "99999999-8888-7777-6666-555555555555"]

/// Opens a store, runs `body`, and releases the store. The files are then as they are after the end of the process.
@discardableResult
func withStore<Result>(
    _ root: String, boot: String = boots[0], reports: Reports = Reports(), isScratch: Bool = false,
    openFiles: Int = 4096, _ body: (ContentStore) throws -> Result
) throws -> Result {
    var options = ContentStore.Options()
    options.bootIdentifier = boot
    options.isScratch = isScratch
    options.openFiles = openFiles
    options.report = { reports.add($0) }
    return try body(try ContentStore(root: root, options: options))
}

extension StoredLayer {
    /// Publishes chunks with their expected bytes.
    func publish(_ chunks: some Sequence<Int>, of sample: SampleLayer) throws {
        for chunk in chunks {
            try sample.bytes(chunk).withUnsafeBytes { try publish(chunk, $0) }
        }
    }

    /// The numbers of the present chunks.
    var presentSet: Set<Int> { Set((0..<chunks.chunkCount).filter { isPresent($0) }) }

    /// Expects that every present chunk reads as its expected bytes, and that the counts agree with the bits.
    func expectTrue(_ sample: SampleLayer, _ comment: Comment? = nil, _ at: SourceLocation = #_sourceLocation) throws {
        let present = presentSet
        for chunk in present {
            #expect(try bytes(ofChunk: chunk) == sample.bytes(chunk), comment ?? "chunk \(chunk)", sourceLocation: at)
        }
        #expect(presentCount == present.count, comment, sourceLocation: at)
        #expect(
            presentBytes == present.reduce(0) { $0 + chunks.chunk($1).content.count }, comment, sourceLocation: at)
        #expect(isComplete == (present.count == chunks.chunkCount), comment, sourceLocation: at)
    }
}

extension SampleLayer {
    /// A key with which a store may contain the layer.
    var key: LayerKey { LayerKey(digest, .tableOfContents(.of([0]), size: 1)) }
}

/// Returns the directory of a layer.
func layerDirectory(_ root: String, _ sample: SampleLayer) -> String { "\(root)/layers/\(sample.key.id.hex)" }

/// Overwrites bytes of a file in place.
func patch(_ path: String, at offset: UInt64, _ bytes: [UInt8]) throws {
    let file = try Sys.open(path, .writeOnly)
    try Sys.pwriteAll(file.raw, bytes, at: offset)
}

/// Returns the code of the error that `body` throws; `nil` if it throws none, or another kind of error.
func code(_ body: () throws -> Void) -> ContentStoreError.Code? {
    do {
        try body()
        return nil
    } catch {
        return (error as? ContentStoreError)?.code
    }
}
