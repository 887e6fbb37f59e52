import Base
import LayerIndex

/// A writer of the compact JSON text of a table of contents (stargz-snapshotter, docs/estargz.md, "TOC, TOCEntries and
/// Footer").
struct TOCWriter {
    private var text = Array("{\"version\":1,\"entries\":[".utf8)
    private var isFirst = true

    /// Appends an entry, whose name and link target must be UTF-8. Leaves out `innerOffset`, fractions of a second, and
    /// members that are 0 or empty.
    mutating func add(_ entry: TableOfContents.Entry) {
        if !isFirst { text.append(UInt8(ascii: ",")) }
        isFirst = false
        text += Array("{\"name\":".utf8)
        string(entry.name)
        text += Array(",\"type\":\"\(entry.type)\"".utf8)
        number("size", entry.size)
        if entry.modifiedSeconds != 0, let time = Timestamp.format(entry.modifiedSeconds) {
            text += Array(",\"modtime\":\"\(time)\"".utf8)
        }
        if !entry.linkName.isEmpty {
            text += Array(",\"linkName\":".utf8)
            string(entry.linkName)
        }
        number("mode", entry.mode)
        number("uid", UInt64(entry.uid))
        number("gid", UInt64(entry.gid))
        number("offset", entry.offset)
        number("devMajor", UInt64(entry.deviceMajor))
        number("devMinor", UInt64(entry.deviceMinor))
        xattrs(entry.xattrs)
        digest("digest", entry.digest)
        number("chunkOffset", entry.chunkOffset)
        number("chunkSize", entry.chunkSize)
        digest("chunkDigest", entry.chunkDigest)
        text.append(UInt8(ascii: "}"))
    }

    consuming func finish() -> [UInt8] {
        text += Array("]}".utf8)
        return text
    }

    private mutating func number(_ key: String, _ value: UInt64) {
        if value != 0 { text += Array(",\"\(key)\":\(value)".utf8) }
    }

    private mutating func digest(_ key: String, _ digest: Digest?) {
        if let digest { text += Array(",\"\(key)\":\"\(digest)\"".utf8) }
    }

    /// Writes the attributes in the order of their names. If several have the same name, the last one counts.
    private mutating func xattrs(_ xattrs: [(name: [UInt8], value: [UInt8])]) {
        guard !xattrs.isEmpty else { return }
        let values = Dictionary(xattrs.map { (String(decoding: $0.name, as: UTF8.self), $0.value) }) { $1 }
        text += Array(",\"xattrs\":{".utf8)
        for (index, (name, value)) in values.sorted(by: { $0.key < $1.key }).enumerated() {
            if index > 0 { text.append(UInt8(ascii: ",")) }
            string(Array(name.utf8))
            text += Array(":\"\(Base64.encode(value))\"".utf8)
        }
        text.append(UInt8(ascii: "}"))
    }

    private mutating func string(_ bytes: [UInt8]) {
        text.append(UInt8(ascii: "\""))
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): text += [UInt8(ascii: "\\"), byte]
            case 0..<0x20: text += Array("\\u00\(Hex.encode([byte]))".utf8)
            default: text.append(byte)
            }
        }
        text.append(UInt8(ascii: "\""))
    }
}

extension TableOfContents.Entry {
    /// Creates the element for an entry of an archive. The members that locate and verify the file's content stay
    /// empty.
    init(_ entry: LayerEntry) {
        self.init()
        type =
            switch entry.kind {
            case .directory: "dir"
            case .regular: "reg"
            case .symlink: "symlink"
            case .hardlink: "hardlink"
            case .character: "char"
            case .block: "block"
            // Sockets do not occur: the tar reader refuses them, as containerd does.
            case .fifo, .socket: "fifo"
            }
        name = entry.path
        linkName = entry.linkTarget
        size = entry.kind == .regular ? entry.attributes.size : 0
        // Rounded to the nearest second, as in stargz-snapshotter's writer.
        modifiedSeconds =
            entry.attributes.modifiedSeconds &+ (entry.attributes.modifiedNanoseconds >= 500_000_000 ? 1 : 0)
        mode = UInt64(entry.attributes.mode)
        uid = entry.attributes.uid
        gid = entry.attributes.gid
        deviceMajor = entry.attributes.deviceMajor
        deviceMinor = entry.attributes.deviceMinor
        xattrs = entry.xattrs
    }
}
