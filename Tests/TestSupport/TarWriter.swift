/// A writer of tar streams: POSIX ustar, with pax records for values that do not fit (POSIX.1-2017, pax interchange
/// format).
public enum TarWriter {
    /// Returns a whole archive, with its two zero blocks.
    public static func archive(_ entries: [TarEntry]) -> [UInt8] {
        var bytes: [UInt8] = []
        for entry in entries {
            bytes += header(entry)
            bytes += entry.contents
            bytes += padding(entry.contents.count)
        }
        return bytes + [UInt8](repeating: 0, count: 1024)
    }

    /// Returns everything before the payload of `entry`: a pax header if the entry needs one, then the entry's own
    /// header.
    public static func header(_ entry: TarEntry) -> [UInt8] {
        var records: [UInt8] = []
        for attribute in entry.xattrs {
            records += record("SCHILY.xattr." + attribute.name, attribute.value)
        }
        if entry.path.count > 100 { records += record("path", entry.path) }
        if entry.linkTarget.count > 100 { records += record("linkpath", entry.linkTarget) }
        if entry.uid > 0o7777777 { records += record("uid", Array("\(entry.uid)".utf8)) }
        if entry.gid > 0o7777777 { records += record("gid", Array("\(entry.gid)".utf8)) }
        if entry.modified < 0 { records += record("mtime", Array("\(entry.modified)".utf8)) }
        var bytes: [UInt8] = []
        if !records.isEmpty {
            bytes += block(
                path: Array("PaxHeaders.0".utf8), type: "x", mode: 0, entry: nil, size: records.count)
            bytes += records + padding(records.count)
        }
        let type: Character =
            switch entry.kind {
            case .regular: "0"
            case .hardlink: "1"
            case .symlink: "2"
            case .character: "3"
            case .block: "4"
            case .directory: "5"
            case .fifo: "6"
            }
        bytes += block(path: entry.path, type: type, mode: entry.mode, entry: entry, size: entry.contents.count)
        return bytes
    }

    /// Returns the zeros after a payload of `count` bytes.
    public static func padding(_ count: Int) -> [UInt8] {
        [UInt8](repeating: 0, count: (512 - count % 512) % 512)
    }

    /// Returns one record of a pax header.
    public static func record(_ key: String, _ value: [UInt8]) -> [UInt8] {
        // The length includes its own digits.
        let body = key.utf8.count + value.count + 3
        var length = body
        while body + "\(length)".utf8.count != length { length = body + "\(length)".utf8.count }
        return Array("\(length) \(key)=".utf8) + value + [0x0a]
    }

    private static func block(path: [UInt8], type: Character, mode: UInt32, entry: TarEntry?, size: Int) -> [UInt8] {
        var block = [UInt8](repeating: 0, count: 512)
        func put(_ bytes: some Collection<UInt8>, at offset: Int, _ width: Int) {
            for (position, byte) in bytes.prefix(width).enumerated() { block[offset + position] = byte }
        }
        func octal(_ value: some BinaryInteger, at offset: Int, _ width: Int) {
            let digits = String(value, radix: 8)
            put((String(repeating: "0", count: max(0, width - 1 - digits.count)) + digits).utf8, at: offset, width - 1)
        }
        put(path, at: 0, 100)
        octal(mode, at: 100, 8)
        octal(min(entry?.uid ?? 0, 0o7777777), at: 108, 8)
        octal(min(entry?.gid ?? 0, 0o7777777), at: 116, 8)
        octal(size, at: 124, 12)
        octal(max(entry?.modified ?? 0, 0), at: 136, 12)
        put("        ".utf8, at: 148, 8)
        put(String(type).utf8, at: 156, 1)
        put("ustar\u{0}00".utf8, at: 257, 8)
        if let entry {
            put(entry.linkTarget, at: 157, 100)
            put(entry.userName.utf8, at: 265, 31)
            put(entry.groupName.utf8, at: 297, 31)
            octal(entry.deviceMajor, at: 329, 8)
            octal(entry.deviceMinor, at: 337, 8)
        }
        let sum = block.reduce(0) { $0 + Int($1) }
        put((String(repeating: "0", count: 6 - String(sum, radix: 8).count) + String(sum, radix: 8)).utf8, at: 148, 6)
        block[154] = 0
        block[155] = 0x20
        return block
    }
}
