import Base
import ContentStore
import LayerIndex
import Linux
import TestSupport
import Testing

/// Tests of the memory that a large layer takes.
@Suite(.serialized, .disabled(if: Sanitizer.isPresent, "a sanitizer's own memory counts")) struct FootprintTests {
    /// Opens a layer of 100,000 files with one chunk each. It must take no heap per file or chunk beyond one bit.
    @Test func aLargeLayer() async throws {
        await #expect(processExitsWith: .success) {
            let count = 100_000
            let digest = Digest.of([1])
            var builder = LayerIndexBuilder(blobDigest: digest, blobSize: 1 << 40)
            for file in 0..<count {
                let range = ByteRange(offset: UInt64(file) * 100, end: UInt64(file) * 100 + 100)
                let extent = try builder.addExtent(range, codec: .raw)
                var attributes = NodeAttributes()
                attributes.mode = 0o644
                attributes.size = 1000
                try builder.add(
                    LayerEntry(
                        path: Array("usr/lib/\(file / 100)/file-\(file)".utf8), attributes: attributes,
                        pieces: [
                            ContentPiece(
                                fileOffset: 0, length: 1000, digest: Digest.of(Array("\(file)".utf8)), extent: extent,
                                innerOffset: 0)
                        ]))
            }
            let key = LayerKey(digest, .inherited)
            let index = try builder.finish()
            try withTemporaryDirectory { root in
                try withStore(root) { store in
                    let layer = try store.install(key, index: index)
                    let bytes = [UInt8](repeating: 1, count: 1000)
                    try bytes.withUnsafeBytes { for chunk in 0..<1000 { try layer.publish(chunk, $0) } }
                    try layer.makeDurable()
                }
                try withStore(root) { store in
                    let before = try anonymousBytes()
                    let layer = try store.layer(key)
                    let heap = try anonymousBytes() - before
                    guard let layer, layer.presentCount == 1000 else { throw Costly(what: "it is not there") }
                    // The bits take 12,500 bytes, and a buffer 64 KiB. Any record per file would take at least 16 bytes
                    // a file.
                    guard heap < 1 << 20 else { throw Costly(what: "\(heap) bytes of memory") }
                }
            }
        }
    }
}

/// An error that makes the separate process of an exit test fail.
private struct Costly: Error {
    let what: String
}

/// Returns the bytes of this process's memory that are not file-backed.
private func anonymousBytes() throws -> Int {
    let text = String(decoding: try Sys.readFile("/proc/self/status", limit: 1 << 16), as: UTF8.self)
    let line = text.split(separator: "\n").first { $0.hasPrefix("RssAnon:") }
    guard let kilobytes = line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap({ Int($0) }) else {
        throw Costly(what: "no RssAnon")
    }
    return kilobytes << 10
}
