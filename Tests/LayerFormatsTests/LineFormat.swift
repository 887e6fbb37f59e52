import Base
import LayerFormats
import LayerIndex

/// A format for tests: the files one after the other without compression, then a line of text for each file, "digest
/// size name". The last 8 bytes give the size of the text. It shows the effort for a new format: this file, and a line
/// in a registry.
struct LineFormat: LayerFormat {
    static let annotation = "test.lines"

    let name = "lines"

    func isAnnounced(by layer: LayerDescription) -> Bool { layer.annotations[Self.annotation] != nil }

    func pin(in layer: LayerDescription) -> Digest? { nil }

    func mayBe(_ layer: LayerDescription) -> Bool { false }

    func opener(for layer: LayerDescription, options: LayerOpenOptions) -> any LayerOpener {
        LineOpener(layer: layer)
    }

    /// Returns a blob with these files.
    static func blob(_ files: [(name: String, content: [UInt8])]) -> [UInt8] {
        let lines = files.map { "\(Digest.of($0.content)) \($0.content.count) \($0.name)\n" }.joined()
        var bytes = files.flatMap(\.content) + Array(lines.utf8)
        bytes.appendLittleEndian(UInt64(lines.utf8.count))
        return bytes
    }
}

private struct LineOpener: LayerOpener {
    private enum State {
        case start
        case lines(ByteRange)
        case done(LayerIndexBytes)
    }

    let layer: LayerDescription
    private var state = State.start

    init(layer: LayerDescription) {
        self.layer = layer
    }

    /// The index is created as the lines arrive.
    var memory: OpeningMemory? { nil }

    func next(by deadline: WorkDeadline) throws(LayerFormatError) -> OpenStep {
        switch state {
        case .start: .read(.suffix(8))
        case .lines(let range): .read(.range(range))
        case .done(let index): .done(index)
        }
    }

    mutating func receive(_ bytes: [UInt8], range: ByteRange, blobSize: UInt64) throws(LayerFormatError) {
        switch state {
        case .start:
            let size = bytes.withUnsafeBytes { $0.littleEndian(UInt64.self, at: 0) }
            guard let size, blobSize >= 8, size <= blobSize - 8 else {
                throw LayerFormatError(.badFooter, "no size of the lines")
            }
            state = .lines(ByteRange(offset: blobSize - 8 - size, end: blobSize - 8))
        case .lines: state = .done(try index(String(decoding: bytes, as: UTF8.self), blobSize))
        case .done: throw LayerFormatError(.badResponse, "bytes that were not asked for")
        }
    }

    func receiveCompanion(_ bytes: [UInt8]) throws(LayerFormatError) {
        throw LayerFormatError(.badResponse, "there are no companions")
    }

    private func index(_ lines: String, _ blobSize: UInt64) throws(LayerFormatError) -> LayerIndexBytes {
        var builder = LayerIndexBuilder(blobDigest: layer.digest, blobSize: blobSize)
        var offset: UInt64 = 0
        do throws(LayerIndexError) {
            for line in lines.split(separator: "\n") {
                let words = line.split(separator: " ")
                guard words.count == 3, let digest = Digest(words[0]), let size = UInt64(words[1]) else { continue }
                var entry = LayerEntry(path: Array(words[2].utf8))
                entry.kind = .regular
                entry.attributes.mode = 0o644
                entry.attributes.size = size
                let extent = try builder.addExtent(ByteRange(offset: offset, end: offset + size), codec: .raw)
                entry.pieces = [
                    ContentPiece(fileOffset: 0, length: size, digest: digest, extent: extent, innerOffset: 0)
                ]
                try builder.add(entry)
                offset += size
            }
            return try builder.finish()
        } catch {
            throw LayerFormatError(.badTOC, "the lines of \(layer.digest)", cause: error)
        }
    }
}
