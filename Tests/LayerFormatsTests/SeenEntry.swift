import LayerFormats
import LayerIndex
import TestSupport
import Testing

/// An entry as ``TarReader`` reported it.
struct SeenEntry: Equatable {
    var path: [UInt8]
    var kind: EntryKind
    var attributes: NodeAttributes
    var link: [UInt8]
    /// The names and values of the extended attributes in turn.
    var xattrs: [[UInt8]]
    var size: UInt64
    var offset: UInt64
    var contentOffset: UInt64?
    var content: [UInt8] = []
    var end: UInt64?

    var name: String { String(decoding: path, as: UTF8.self) }
    var target: String { String(decoding: link, as: UTF8.self) }

    /// Reads an archive, `piece()` bytes at a time, and checks that the events come in the right order.
    static func read(
        _ archive: [UInt8], limits: TarLimits = .standard, piece: () -> Int = { .max }
    ) throws -> [SeenEntry] {
        var reader = TarReader(limits: limits)
        var seen: [SeenEntry] = []
        try archive.withUnsafeBytes { (all) throws in
            var start = 0
            while start < all.count {
                let end = start + min(piece(), all.count - start)
                let part = UnsafeRawBufferPointer(rebasing: all[start..<end])
                try reader.push(part) { (event, offset) throws(LayerFormatError) in
                    record(event, offset, in: &seen)
                }
                start = end
            }
        }
        try reader.finish()
        #expect(seen.allSatisfy { $0.end != nil && UInt64($0.content.count) == $0.attributes.size })
        return seen
    }

    private static func record(_ event: TarEvent, _ offset: UInt64, in seen: inout [SeenEntry]) {
        if case .entry(let entry, let size) = event {
            #expect(seen.last.map { $0.end != nil } ?? true, "an entry within another")
            #expect(entry.pieces.isEmpty && offset % 512 == 0)
            seen.append(
                SeenEntry(
                    path: entry.path, kind: entry.kind, attributes: entry.attributes, link: entry.linkTarget,
                    xattrs: entry.xattrs.flatMap { [$0.name, $0.value] }, size: size, offset: offset))
            return
        }
        guard var last = seen.popLast(), last.end == nil else {
            Issue.record("an event that belongs to no entry")
            return
        }
        if case .hole(let count) = event {
            last.content += [UInt8](repeating: 0, count: Int(count))
        } else if case .content(let bytes) = event {
            let start = last.contentOffset ?? offset
            // The data of a sparse file comes without its holes.
            #expect(!bytes.isEmpty && offset <= start + UInt64(last.content.count))
            last.contentOffset = start
            last.content += bytes
        } else {
            last.end = offset
        }
        seen.append(last)
    }

    /// Returns the error that reading the archive throws; `nil` if there is none.
    static func failure(_ archive: [UInt8], limits: TarLimits = .standard) -> LayerFormatError? {
        do {
            _ = try read(archive, limits: limits)
        } catch let error as LayerFormatError {
            return error
        } catch {
            Issue.record("not a typed error: \(error)")
        }
        return nil
    }
}

/// Returns the parts joined into one.
func joined(_ parts: [UInt8]...) -> [UInt8] {
    Array(parts.joined())
}
