import Base
import Codecs
import LayerFormats
import LayerIndex
import TestSupport

extension FuzzTarget {
    /// A tar archive whose headers' checksums are repaired. The reader must report the same for the whole archive and
    /// for small pieces.
    static let tar = FuzzTarget("FuzzTar") { input in
        var archive = Array(input)
        for start in stride(from: 0, through: archive.count - 512, by: 512) {
            seal(&archive, at: start) { $0.dropFirst(257).starts(with: "ustar".utf8) }
        }
        compareWholeAndPieces(archive)
    }

    /// The payload of a pax header, before the header of an ordinary file.
    static let pax = FuzzTarget("FuzzPAX") { input in
        let payload = Array(input)
        let archive = TarBlock.extended("x", payload) + TarBlock("0", "f").followed(by: []) + TarBlock.end
        compareWholeAndPieces(archive)
    }

    /// One tar header with its checksum repaired.
    static let tarHeader = FuzzTarget("FuzzTarHeader") { input in
        var block = Array(input.prefix(512))
        block += [UInt8](repeating: 0, count: 512 - block.count)
        seal(&block, at: 0) { _ in true }
        block.withUnsafeBytes { bytes in
            guard let header = try? TarHeader(bytes) else { return }
            precondition(header.name.count <= 100 && header.linkName.count <= 100 && header.prefix.count <= 155)
            precondition(!header.name.contains(0) && !header.linkName.contains(0))
        }
    }

    /// Repairs the checksum of the block at `start` if it is a header. Other blocks are content, which must stay as is.
    private static func seal(_ archive: inout [UInt8], at start: Int, if isHeader: (ArraySlice<UInt8>) -> Bool) {
        guard isHeader(archive[start..<start + 512]) else { return }
        var block = TarBlock("0", "")
        block.bytes = Array(archive[start..<start + 512])
        archive.replaceSubrange(start..<start + 512, with: block.sealed())
    }

    private static func compareWholeAndPieces(_ archive: [UInt8]) {
        let whole = Account(archive, pieceSize: .max)
        let pieces = Account(archive, pieceSize: 1 + (archive.first.map { Int($0) } ?? 0))
        precondition(whole == pieces)
    }
}

/// Everything that a reader reports about an archive.
private struct Account: Equatable {
    private var paths: [[UInt8]] = []
    private var attributes: [NodeAttributes] = []
    private var links: [[UInt8]] = []
    private var xattrs: [[UInt8]] = []
    private var contents: [[UInt8]] = []
    private var offsets: [UInt64] = []
    private var ends: [UInt64] = []
    private var holes: UInt64 = 0
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
            precondition(entry.kind == .regular || size == 0)
            holes = 0
            paths.append(entry.path)
            attributes.append(entry.attributes)
            links.append(entry.linkTarget)
            for (name, value) in entry.xattrs { xattrs += [name, value] }
            contents.append([])
            offsets.append(offset)
        case .content(let bytes):
            precondition(!bytes.isEmpty && ends.count + 1 == paths.count)
            contents[contents.count - 1] += bytes
        case .hole(let count):
            precondition(count > 0 && ends.count + 1 == paths.count)
            holes += count
        case .end:
            precondition(ends.count + 1 == paths.count)
            precondition(UInt64(contents[contents.count - 1].count) + holes == (attributes.last?.size ?? 0))
            ends.append(offset)
        }
    }
}
