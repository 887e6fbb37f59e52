import Base
import LayerFormats
import LayerIndex
import TestSupport

extension FuzzTarget {
    /// The JSON text of a TOC. The scanner must find the same number of entries in the whole text and in small pieces.
    /// If the opener accepts the TOC, the layer index must open.
    static let toc = FuzzTarget("FuzzTOC") { input in
        let json = Array(input)
        let whole = try? TableOfContents.entries(of: json)
        let pieces = try? TableOfContents.entries(of: json, pieceSize: 1 + (json.first.map { Int($0) } ?? 0))
        precondition(whole?.count == pieces?.count)

        let payload: UInt64 = 1 << 20
        let tail =
            Compressed.gzip(TarWriter.archive([.file("stargz.index.json", json)]), level: 0)
            + EstargzBlob.footer(tocOffset: payload)
        let range = ByteRange(offset: payload, end: payload + UInt64(tail.count))
        var opener = EstargzFormat().opener(
            for: LayerDescription(digest: .of([]), size: range.end, mediaType: "", annotations: [:]),
            options: LayerOpenOptions(allowUnverifiedTOC: true))
        do {
            _ = try opener.next()
            try opener.receive(tail, range: range, blobSize: range.end)
            guard case .done(let index) = try opener.next() else { preconditionFailure("nothing is missing") }
            precondition(whole != nil)
            check(index)
        } catch {
            return
        }
    }
}

/// Checks that `index` opens, whatever the TOC says.
private func check(_ index: LayerIndexBytes) {
    do {
        FuzzSupport.walk(try ChunkTable(bytes: index.chunks))
        try TreeImage(bytes: index.tree).verify()
    } catch {
        preconditionFailure("an index that does not open: \(error)")
    }
}
