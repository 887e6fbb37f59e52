/// A writer of tar archives in every dialect that layers are written in (POSIX.1-2017, pax; GNU tar manual, "Basic Tar
/// Format"; V7; star).
///
/// It exists beside the tests' own writer to be independent of the reader under test, and to write odd headers.
struct ArchiveWriter {
    private(set) var bytes: [UInt8] = []

    /// Returns the archive of `entries`. With `isTerminated` false, it lacks the two blocks of zeros at its end.
    static func archive(_ entries: [ArchiveEntry], isTerminated: Bool = true) -> [UInt8] {
        var writer = ArchiveWriter()
        for entry in entries { writer.append(entry) }
        return writer.bytes + [UInt8](repeating: 0, count: isTerminated ? 1024 : 0)
    }

    /// Appends the headers and the content of `entry`.
    mutating func append(_ entry: ArchiveEntry) {
        let style = Self.style(for: entry)
        var payload = entry.isRegular || entry.type == 0x67 ? entry.content : []
        var records: [UInt8] = []
        var path = entry.path
        if let sparse = entry.sparse {
            let map = Self.segments(entry.content)
            (records, payload) = Self.sparse(entry, map, sparse)
            if sparse != .pax00 { path = Array("./GNUSparseFile.1/".utf8) + (path.split(separator: 0x2F).last ?? []) }
        }
        switch style {
        case .pax: records += Self.records(entry, path: path)
        case .gnu:
            // GNU tar ends a long name with a NUL.
            if entry.link.count > 100 { long("K", entry.link + [0]) }
            if path.count > 100 { long("L", path + [0]) }
        case .v7, .ustar, .star: break
        }
        if !records.isEmpty {
            var extended = ArchiveEntry("x", Array("PaxHeaders.0/x".utf8))
            extended.style = .ustar
            header(extended, path: extended.path, size: records.count, style: .ustar)
            put(records)
        }
        header(entry, path: path, size: payload.count, style: style)
        put(payload)
    }

    /// Returns the dialect that can hold the entry: its own, or pax.
    private static func style(for entry: ArchiveEntry) -> ArchiveEntry.Style {
        guard entry.xattrs.isEmpty, entry.nanoseconds == 0, entry.sparse == nil else { return .pax }
        let isLarge =
            entry.uid > 0o7777777 || entry.gid > 0o7777777 || entry.seconds < 0
            || entry.seconds > 0o77777777777 || entry.major > 0o7777777 || entry.minor > 0o7777777
        switch entry.style {
        case .pax, .gnu: return entry.style
        case .v7:
            let fits = entry.path.count <= 100 && entry.link.count <= 100 && !isLarge && !entry.isDevice
            return fits ? .v7 : .pax
        case .ustar, .star:
            let room = entry.style == .ustar ? 155 : 131
            let fits = !isLarge && entry.link.count <= 100 && Self.split(entry.path, room: room) != nil
            return fits ? entry.style : .pax
        }
    }

    // MARK: - Blocks

    private mutating func put(_ payload: [UInt8]) {
        bytes += payload
        bytes += [UInt8](repeating: 0, count: (512 - payload.count % 512) % 512)
    }

    private mutating func long(_ type: Character, _ text: [UInt8]) {
        var entry = ArchiveEntry(type, Array("././@LongLink".utf8))
        entry.seconds = 0
        header(entry, path: entry.path, size: text.count, style: .gnu)
        put(text)
    }

    private mutating func header(_ entry: ArchiveEntry, path: [UInt8], size: Int, style: ArchiveEntry.Style) {
        var block = [UInt8](repeating: 0, count: 512)
        func set(_ text: some Collection<UInt8>, at offset: Int, _ width: Int) {
            for (position, byte) in text.prefix(width).enumerated() { block[offset + position] = byte }
        }
        func number(_ value: Int64, at offset: Int, _ width: Int) {
            let digits = String(max(value, 0), radix: 8)
            if value >= 0, digits.utf8.count < width {
                set((String(repeating: "0", count: width - 1 - digits.utf8.count) + digits).utf8, at: offset, width)
            } else if style == .gnu {
                for position in 0..<width {
                    let shift = Int64(min(8 * (width - 1 - position), 63))
                    block[offset + position] = UInt8(truncatingIfNeeded: value >> shift)
                }
                block[offset] |= 0x80
            } else {
                // The pax header has the value.
                set(String(repeating: "0", count: width - 1).utf8, at: offset, width)
            }
        }
        var name = path
        if style == .ustar || style == .star, let parts = Self.split(path, room: style == .ustar ? 155 : 131) {
            name = parts.name
            set(parts.prefix, at: 345, 155)
        }
        set(name, at: 0, 100)
        number(Int64(entry.mode), at: 100, 8)
        number(Int64(entry.uid), at: 108, 8)
        number(Int64(entry.gid), at: 116, 8)
        number(Int64(size), at: 124, 12)
        number(entry.seconds, at: 136, 12)
        block[156] = style == .v7 && entry.isRegular ? 0 : entry.type
        set(entry.link, at: 157, 100)
        switch style {
        case .v7: break
        case .gnu: set("ustar  \u{0}".utf8, at: 257, 8)
        case .pax, .ustar, .star: set("ustar\u{0}00".utf8, at: 257, 8)
        }
        if style != .v7 {
            set("root".utf8, at: 265, 32)
            set("root".utf8, at: 297, 32)
            number(Int64(entry.major), at: 329, 8)
            number(Int64(entry.minor), at: 337, 8)
        }
        if style == .star {
            // Access and change time, and the magic of star.
            set("00000000000".utf8, at: 476, 12)
            set("00000000000".utf8, at: 488, 12)
            set("tar\u{0}".utf8, at: 508, 4)
        }
        set("        ".utf8, at: 148, 8)
        let sum = String(block.reduce(0) { $0 + Int($1) }, radix: 8)
        set((String(repeating: "0", count: 6 - sum.utf8.count) + sum).utf8, at: 148, 6)
        block[154] = 0
        bytes += block
    }

    /// Splits a path for ustar's name and prefix fields; returns `nil` for a path that does not fit.
    private static func split(_ path: [UInt8], room: Int) -> (prefix: [UInt8], name: [UInt8])? {
        if path.count <= 100 { return ([], path) }
        for position in path.indices where path[position] == 0x2F && position > 0 && position <= room {
            let name = Array(path[(position + 1)...])
            if !name.isEmpty, name.count <= 100 { return (Array(path[..<position]), name) }
        }
        return nil
    }

    // MARK: - Pax records

    /// Returns one record, whose length includes its own digits.
    static func record(_ key: String, _ value: [UInt8]) -> [UInt8] {
        let body = key.utf8.count + value.count + 3
        var length = body
        while body + "\(length)".utf8.count != length { length = body + "\(length)".utf8.count }
        return Array("\(length) \(key)=".utf8) + value + [0x0A]
    }

    private static func record(_ key: String, _ value: String) -> [UInt8] { record(key, Array(value.utf8)) }

    private static func records(_ entry: ArchiveEntry, path: [UInt8]) -> [UInt8] {
        var records: [UInt8] = []
        if entry.hasSpareRecords {
            records += record("atime", "1600000001.5") + record("ctime", "1600000002")
            records +=
                record("uname", "nobody") + record("comment", "a comment") + record("LIBARCHIVE.creationtime", "1")
        }
        // A path of ASCII that fits needs no record, as other writers have it.
        if path.count > 100 || path.contains(where: { $0 >= 0x80 }) { records += record("path", path) }
        if entry.link.count > 100 || entry.link.contains(where: { $0 >= 0x80 }) {
            records += record("linkpath", entry.link)
        }
        if entry.uid > 0o7777777 { records += record("uid", "\(entry.uid)") }
        if entry.gid > 0o7777777 { records += record("gid", "\(entry.gid)") }
        if entry.nanoseconds > 0 || entry.seconds < 0 || entry.seconds > 0o77777777777 {
            records += record("mtime", time(entry))
        }
        for attribute in entry.xattrs { records += record("SCHILY.xattr.\(attribute.name)", attribute.value) }
        return records
    }

    private static func time(_ entry: ArchiveEntry) -> String {
        guard entry.nanoseconds > 0 else { return "\(entry.seconds)" }
        // The fraction of a negative time counts away from 1970.
        let isNegative = entry.seconds < 0
        let seconds = isNegative ? -(entry.seconds + 1) : entry.seconds
        let fraction = "\(isNegative ? 1_000_000_000 - entry.nanoseconds : entry.nanoseconds)"
        let zeros = String(repeating: "0", count: 9 - fraction.utf8.count)
        return "\(isNegative ? "-" : "")\(seconds).\(zeros)\(fraction)"
    }

    // MARK: - Sparse files

    /// Returns the parts of `content` that are not zeros, in units of 512 bytes, with an empty last part at the end.
    private static func segments(_ content: [UInt8]) -> [Range<Int>] {
        var segments: [Range<Int>] = []
        for start in stride(from: 0, to: content.count, by: 512) {
            let end = min(start + 512, content.count)
            guard content[start..<end].contains(where: { $0 != 0 }) else { continue }
            if let last = segments.last, last.upperBound == start {
                segments[segments.count - 1] = last.lowerBound..<end
            } else {
                segments.append(start..<end)
            }
        }
        if segments.last?.upperBound != content.count { segments.append(content.count..<content.count) }
        return segments
    }

    private static func sparse(
        _ entry: ArchiveEntry, _ map: [Range<Int>], _ style: ArchiveEntry.SparseStyle
    ) -> (records: [UInt8], payload: [UInt8]) {
        let data = map.flatMap { entry.content[$0] }
        var records: [UInt8] = []
        switch style {
        case .pax00:
            records += record("GNU.sparse.size", "\(entry.content.count)")
            records += record("GNU.sparse.numblocks", "\(map.count)")
            for segment in map {
                records += record("GNU.sparse.offset", "\(segment.lowerBound)")
                records += record("GNU.sparse.numbytes", "\(segment.count)")
            }
            return (records, data)
        case .pax01:
            records += record("GNU.sparse.size", "\(entry.content.count)")
            records += record("GNU.sparse.numblocks", "\(map.count)")
            records += record("GNU.sparse.map", map.map { "\($0.lowerBound),\($0.count)" }.joined(separator: ","))
            records += record("GNU.sparse.name", entry.path)
            return (records, data)
        case .pax10:
            records += record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0")
            records += record("GNU.sparse.name", entry.path)
            records += record("GNU.sparse.realsize", "\(entry.content.count)")
            var text = "\(map.count)\n"
            for segment in map { text += "\(segment.lowerBound)\n\(segment.count)\n" }
            let padding = [UInt8](repeating: 0, count: (512 - text.utf8.count % 512) % 512)
            return (records, Array(text.utf8) + padding + data)
        }
    }
}
