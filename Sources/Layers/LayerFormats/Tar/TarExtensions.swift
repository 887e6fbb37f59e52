import Base
import Codecs
import LayerIndex

/// The extensions before an entry's header: pax records and GNU's long names. They override fields of the header.
struct TarExtensions {
    /// The records of the last pax header. If an entry has several pax headers, only the last one counts, as in Go's
    /// archive/tar.
    private var pax = PaxRecords()
    private var longPath: [UInt8] = []
    private var longLink: [UInt8] = []
    /// True if an extension was added and the entry that it describes has not followed yet.
    private(set) var isPending = false

    /// Returns true if an entry of this type is an extension: metadata for other entries, not a file.
    static func isExtension(_ type: UInt8) -> Bool {
        switch type {
        case UInt8(ascii: "x"), UInt8(ascii: "g"), UInt8(ascii: "L"), UInt8(ascii: "K"): true
        default: false
        }
    }

    /// Returns the maximum payload size in bytes of an extension of this type.
    static func maximumSize(_ type: UInt8, _ limits: TarLimits) -> Int {
        switch type {
        // GNU tar adds a NUL. Some other writers fill the block with NULs.
        case UInt8(ascii: "L"), UInt8(ascii: "K"): limits.pathLength &+ TarHeader.blockSize
        default: limits.headerBytes
        }
    }

    /// Adds the payload of an extension of type `x` (pax), `g` (global pax), `L` (long name) or `K` (long link target).
    ///
    /// - Throws: an error whose message does not name the entry.
    mutating func add(_ payload: UnsafeRawBufferPointer, type: UInt8, limits: TarLimits) throws(LayerFormatError) {
        switch type {
        case UInt8(ascii: "L"): longPath = Array(payload.prefix { $0 != 0 })
        case UInt8(ascii: "K"): longLink = Array(payload.prefix { $0 != 0 })
        case UInt8(ascii: "x"): pax = try PaxRecords(payload, limits: limits)
        default:
            // Go and containerd parse a global header, then ignore it and drop all extensions before it.
            _ = try PaxRecords(payload, limits: limits)
            self = TarExtensions()
            return
        }
        isPending = true
    }

    /// Returns the entry that `header` begins, and the number of bytes of its payload in the archive. For a sparse
    /// file, also returns the file's segments.
    func entry(
        _ header: TarHeader, limits: TarLimits
    ) throws(LayerFormatError) -> (entry: LayerEntry, size: UInt64, sparse: SparseFile?) {
        let sparse = try pax.sparse.file(size: pax.size ?? header.size, maximumCount: limits.sparseParts)
        let path = entryPath(header, isSparse: sparse != nil)
        func refusal(_ code: LayerFormatError.Code, _ what: String) -> LayerFormatError {
            LayerFormatError(code, "\(LayerFormatError.printable(path)): \(what)")
        }
        guard header.type != UInt8(ascii: "S") else {
            throw refusal(
                .unsupported,
                "a sparse file in GNU tar's old format, which containerd refuses too; use --format=posix")
        }
        guard path.count <= limits.pathLength else { throw refusal(.limit, "a name of \(path.count) bytes") }
        guard let kind = Self.kind(header.type, path) else {
            let type = UnicodeScalar(header.type).escaped(asASCII: true)
            throw refusal(.unsupported, "an entry of type '\(type)', which containerd refuses too")
        }
        var link: [UInt8] = []
        if kind == .symlink || kind == .hardlink {
            link = longLink.isEmpty ? pax.linkPath ?? header.linkName : longLink
            guard link.count <= limits.pathLength else { throw refusal(.limit, "a link to \(link.count) bytes") }
        }
        for (name, value) in pax.xattrs {
            guard name.count <= IndexLimits.nameLength, value.count <= IndexLimits.extendedAttributeLength else {
                throw refusal(
                    .limit, "an extended attribute with a name of \(name.count) and a value of \(value.count) bytes")
            }
        }
        guard let uid = UInt32(exactly: pax.uid ?? header.uid), let gid = UInt32(exactly: pax.gid ?? header.gid) else {
            throw refusal(.unsupported, "an owner or group with a number of more than 32 bits")
        }
        guard let major = UInt32(exactly: header.deviceMajor), let minor = UInt32(exactly: header.deviceMinor) else {
            throw refusal(.unsupported, "a device number of more than 32 bits")
        }
        // For any other kind the size has no meaning, and no payload follows (Go's archive/tar, isHeaderOnlyType).
        let size = kind == .regular ? pax.size ?? header.size : 0
        guard sparse?.size ?? 0 <= limits.sparseSize else {
            throw refusal(.limit, "a sparse file of \(sparse?.size ?? 0) bytes")
        }
        guard sparse == nil || kind == .regular else { throw refusal(.badArchive, "a sparse file that is not a file") }
        let (seconds, nanoseconds) = pax.modified ?? (header.modified, 0)
        let entry = LayerEntry(
            path: path, kind: kind,
            attributes: NodeAttributes(
                mode: UInt16(truncatingIfNeeded: header.mode & 0o7777), uid: uid, gid: gid, modifiedSeconds: seconds,
                modifiedNanoseconds: nanoseconds, size: sparse?.size ?? size, deviceMajor: major, deviceMinor: minor),
            linkTarget: link, xattrs: pax.xattrs)
        return (entry, size, sparse)
    }

    /// Returns the entry's path. As in Go's archive/tar, the first of these that exists is the path: the name in a
    /// sparse file's records, GNU's long name, the pax path, the name in the header.
    private func entryPath(_ header: TarHeader, isSparse: Bool) -> [UInt8] {
        if isSparse, let path = pax.sparse.path { return path }
        if !longPath.isEmpty { return longPath }
        if let path = pax.path { return path }
        return header.prefix.isEmpty ? header.name : header.prefix + [0x2F] + header.name
    }

    private static func kind(_ type: UInt8, _ path: [UInt8]) -> EntryKind? {
        switch type {
        case UInt8(ascii: "0"), UInt8(ascii: "7"): .regular
        // Before ustar, a directory was a file whose name ends with a slash.
        case 0: path.last == 0x2F ? .directory : .regular
        case UInt8(ascii: "1"): .hardlink
        case UInt8(ascii: "2"): .symlink
        case UInt8(ascii: "3"): .character
        case UInt8(ascii: "4"): .block
        case UInt8(ascii: "5"): .directory
        case UInt8(ascii: "6"): .fifo
        default: nil
        }
    }
}
