import Base
import LayerFormats
import TestSupport

/// Tables of contents of large layers, without the layers.
enum SampleTOC {
    struct Layer {
        var description: LayerDescription
        /// The tail of the blob, which contains the TOC and the footer.
        var tail: [UInt8]
        var range: ByteRange
        var jsonSize: Int
    }

    /// Returns a TOC of `count` regular files with ten members each, 20 files to a directory. It is indented with tabs,
    /// as Go does.
    static func json(entries count: Int) -> [UInt8] {
        var random = SeededRandom(seed: 1)
        func digest() -> String {
            "sha256:" + Hex.encode((0..<32).map { _ in UInt8.random(in: 0...255, using: &random) })
        }
        var text: [UInt8] = Array("{\n\t\"version\": 1,\n\t\"entries\": [".utf8)
        text.reserveCapacity(count * 420)
        for index in 0..<count {
            let whole = digest()
            let name = "usr/lib/python3/dist-packages/package\(index / 20)/module_\(index).py"
            text +=
                """
                \(index == 0 ? "" : ",")
                \t\t{
                \t\t\t"name": "\(name)",
                \t\t\t"type": "reg",
                \t\t\t"size": \(2000 + index % 7000),
                \t\t\t"modtime": "2023-0\(1 + index % 9)-1\(index % 10)T0\(index % 10):3\(index % 10):5\(index % 9)Z",
                \t\t\t"mode": 420,
                \t\t\t"uid": 1000,
                \t\t\t"gid": 1000,
                \t\t\t"offset": \(100 + index * 3000),
                \t\t\t"digest": "\(whole)",
                \t\t\t"chunkDigest": "\(whole)"
                \t\t}
                """.utf8
        }
        text += "\n\t]\n}".utf8
        return text
    }

    /// Returns the tail of a blob with ``json(entries:)``, and the layer's manifest entry.
    static func layer(entries count: Int) -> Layer {
        let json = json(entries: count)
        let offset = UInt64(count * 3000 + 4000)
        let tail =
            Compressed.gzip(TarWriter.archive([.file("stargz.index.json", json)]), level: 9)
            + EstargzBlob.footer(tocOffset: offset)
        let range = ByteRange(offset: offset, end: offset + UInt64(tail.count))
        let description = LayerDescription(
            digest: .of(tail), size: range.end, mediaType: "",
            annotations: [TOCOpener.digestAnnotation: Digest.of(json).description])
        return Layer(description: description, tail: tail, range: range, jsonSize: json.count)
    }
}
