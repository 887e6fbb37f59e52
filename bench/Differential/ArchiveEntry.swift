/// One entry of a generated layer archive.
struct ArchiveEntry: Sendable {
    /// The dialect of tar in which the entry is written. An entry that a dialect cannot hold is written in pax.
    enum Style: String, Sendable, CaseIterable {
        case v7, ustar, gnu, pax, star
    }

    /// The way in which the holes of a sparse file are written (GNU tar manual, "Storing Sparse Files").
    enum SparseStyle: String, Sendable, CaseIterable {
        case pax00 = "pax 0.0"
        case pax01 = "pax 0.1"
        case pax10 = "pax 1.0"
    }

    /// The type flag of the tar header.
    var type: UInt8
    var path: [UInt8]
    /// The target of a link.
    var link: [UInt8] = []
    var mode: UInt32 = 0o644
    var uid: UInt32 = 0
    var gid: UInt32 = 0
    var seconds: Int64 = 1_600_000_000
    var nanoseconds: UInt32 = 0
    var major: UInt32 = 0
    var minor: UInt32 = 0
    var xattrs: [(name: String, value: [UInt8])] = []
    /// The bytes of a regular file, or the records of a global header.
    var content: [UInt8] = []
    var style = Style.pax
    /// The style of a sparse file; `nil` for an ordinary file.
    var sparse: SparseStyle?
    /// True if the pax header also has records without a meaning for containerd.
    var hasSpareRecords = false

    init(_ type: Character, _ path: [UInt8]) {
        self.type = type.asciiValue ?? 0x30
        self.path = path
    }

    var isDirectory: Bool { type == 0x35 }
    var isRegular: Bool { type == 0x30 || type == 0 }
    var isHardLink: Bool { type == 0x31 }
    var isSymbolicLink: Bool { type == 0x32 }
    var isDevice: Bool { type == 0x33 || type == 0x34 }
}
