import LayerFormats
import LayerIndex
import TestSupport

/// A tar archive, its headers' checksums made right: read whole and in small pieces, which must say the same.
@c(LLVMFuzzerTestOneInput)
public func fuzzTar(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var archive = Array(UnsafeBufferPointer(start: data, count: count))
    for start in stride(from: 0, through: archive.count - 512, by: 512) where looksLikeHeader(archive[start...]) {
        var block = TarBlock("0", "")
        block.bytes = Array(archive[start..<start + 512])
        archive.replaceSubrange(start..<start + 512, with: block.sealed())
    }
    let whole = Account(archive, pieceSize: .max)
    let pieces = Account(archive, pieceSize: 1 + (archive.first.map { Int($0) } ?? 0))
    precondition(whole == pieces)
    return 0
}

/// Whether the magic says so: otherwise whatever is changed in the content would be taken for one.
private func looksLikeHeader(_ block: ArraySlice<UInt8>) -> Bool {
    block.dropFirst(257).starts(with: "ustar".utf8)
}

/// What a reader says of an archive.
private struct Account: Equatable {
    private var paths: [[UInt8]] = []
    private var attributes: [NodeAttributes] = []
    private var links: [[UInt8]] = []
    private var xattrs: [[UInt8]] = []
    private var contents: [[UInt8]] = []
    private var offsets: [UInt64] = []
    private var ends: [UInt64] = []
    private var failure: LayerFormatError.Code?

    init(_ archive: [UInt8], pieceSize: Int) {
        var reader = TarReader()
        do throws(LayerFormatError) {
            try archive.withUnsafeBufferPointer { (buffer) throws(LayerFormatError) in
                var rest = UnsafeRawBufferPointer(buffer)
                while !rest.isEmpty {
                    let count = min(rest.count, pieceSize)
                    let piece = UnsafeRawBufferPointer(rebasing: rest[..<count])
                    rest = UnsafeRawBufferPointer(rebasing: rest[count...])
                    try reader.push(piece) { (event, offset) throws(LayerFormatError) in take(event, offset) }
                }
            }
            try reader.finish()
            precondition(ends.count == paths.count)
        } catch {
            failure = error.code
        }
    }

    private mutating func take(_ event: TarEvent, _ offset: UInt64) {
        switch event {
        case .entry(let entry, let size):
            precondition(ends.count == paths.count && offset % 512 == 0)
            precondition(entry.kind == .regular ? entry.attributes.size == size : size == 0)
            paths.append(entry.path)
            attributes.append(entry.attributes)
            links.append(entry.linkTarget)
            for (name, value) in entry.xattrs { xattrs += [name, value] }
            contents.append([])
            offsets.append(offset)
        case .content(let bytes):
            precondition(!bytes.isEmpty && ends.count + 1 == paths.count)
            contents[contents.count - 1] += bytes
        case .end:
            precondition(ends.count + 1 == paths.count)
            precondition(UInt64(contents[contents.count - 1].count) == (attributes.last?.size ?? 0))
            ends.append(offset)
        }
    }
}
