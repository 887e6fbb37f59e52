import Base
import LayerFormats

extension FuzzTarget {
    /// The last bytes of a blob as a registry may send them, opened as eStargz and as zstd:chunked. Footer and TOC may
    /// be in any state.
    static let footer = FuzzTarget("FuzzFooter") { input in
        _ = EstargzFooter(tail: input)
        _ = ZstdChunkedFooter(tail: input)
        open(input, EstargzFormat())
        open(input, ZstdChunkedFormat())
    }
}

private func open(_ bytes: UnsafeRawBufferPointer, _ format: some LayerFormat) {
    // The tail starts at an offset that the input chooses.
    let before = UInt64(bytes.first ?? 0) << 8
    let range = ByteRange(offset: before, end: before + UInt64(bytes.count))
    var opener = format.opener(
        for: LayerDescription(digest: .of([]), size: range.end, mediaType: "", annotations: [:]),
        options: LayerOpenOptions(allowUnverifiedTOC: true))
    do {
        for _ in 0..<4 {
            switch try opener.next() {
            case .read(.suffix): try opener.receive(Array(bytes), range: range, blobSize: range.end)
            case .read(.range(let wanted)):
                precondition(wanted.count > 0 && wanted.end <= before)
                try opener.receive(
                    [UInt8](repeating: 0x1f, count: Int(wanted.count)), range: wanted, blobSize: range.end)
            case .readCompanion: try opener.receiveCompanion(Array(bytes))
            case .done: return
            }
        }
    } catch {
        return
    }
    preconditionFailure("an opener that never ends")
}
