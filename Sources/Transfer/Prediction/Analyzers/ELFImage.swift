public import Base

/// A parsed ELF file: the parts of the file that the dynamic loader reads, and the names of the linked libraries.
///
/// The format is ELF-64, little-endian only (System V ABI, generic, "Object Files" and "Program Loading and Dynamic
/// Linking").
///
/// Parsing takes two steps, because the library names lie far from the start of the file. ``init(head:fileSize:)``
/// reads the first bytes of the file. ``links(_:)`` then reads the names.
public struct ELFImage: Sendable {
    /// The names of libraries and search directories in the dynamic section.
    public struct Links: Equatable, Sendable {
        /// The names of the linked libraries, from `DT_NEEDED` entries.
        public var needed: [String] = []
        /// The directories in `DT_RUNPATH` or `DT_RPATH` entries, with `$ORIGIN` unexpanded.
        public var searchPath: [String] = []

        public init(needed: [String] = [], searchPath: [String] = []) {
            self.needed = needed
            self.searchPath = searchPath
        }
    }

    private struct Segment: Sendable {
        var type: UInt32
        var isWritable: Bool
        var file: ByteRange
        var address: UInt64
    }

    private static let maximumSegments = 128
    private static let maximumNeeded = 256
    /// The maximum number of `DT_RUNPATH` and `DT_RPATH` entries that ``links(_:)`` reads.
    private static let maximumPaths = 8
    /// The maximum number of directories that ``links(_:)`` takes from all `DT_RUNPATH` and `DT_RPATH` entries
    /// together.
    private static let maximumDirectories = 64
    private static let longestName = 1024
    private static let loadable: UInt32 = 1
    private static let dynamic: UInt32 = 2
    private static let interpreterType: UInt32 = 3

    /// The number of bytes at the start of a file to pass to ``init(head:fileSize:)``.
    public static let headSize: UInt64 = 4096

    /// The machine that the code is for: `EM_X86_64` is 62, `EM_AARCH64` 183.
    public let machine: UInt16
    /// The range of the file that holds the path of the program interpreter (the dynamic loader). The range is `nil` if
    /// the file names no interpreter, or if the path takes more than 4096 bytes.
    public let interpreter: ByteRange?
    private let segments: [Segment]

    /// Reads the program headers from `head`, the first bytes of a file. The program headers describe the segments.
    ///
    /// Returns `nil` if the file is not a little-endian ELF-64 file, if it has more than 128 program headers, or if its
    /// program headers are corrupt or not all in `head`.
    public init?(head: [UInt8], fileSize: UInt64) {
        guard head.count >= 64, head.starts(with: [0x7F, 0x45, 0x4C, 0x46, 2, 1]) else { return nil }
        let parsed: (machine: UInt16, segments: [Segment])? = head.withUnsafeBytes { bytes in
            guard let machine = bytes.littleEndian(UInt16.self, at: 18),
                let table = bytes.littleEndian(UInt64.self, at: 32),
                let size = bytes.littleEndian(UInt16.self, at: 54), size >= 56,
                let count = bytes.littleEndian(UInt16.self, at: 56), count <= Self.maximumSegments,
                table <= UInt64(bytes.count)
            else { return nil }
            var segments: [Segment] = []
            for index in 0..<Int(count) {
                // The table starts within the head, and 128 records of at most 65,535 bytes follow: no overflow.
                let start = Int(table) + index * Int(size)
                guard let type = bytes.littleEndian(UInt32.self, at: start),
                    let flags = bytes.littleEndian(UInt32.self, at: start + 4),
                    let offset = bytes.littleEndian(UInt64.self, at: start + 8),
                    let address = bytes.littleEndian(UInt64.self, at: start + 16),
                    let length = bytes.littleEndian(UInt64.self, at: start + 32),
                    offset <= fileSize, length <= fileSize - offset
                else { return nil }
                segments.append(
                    Segment(
                        type: type, isWritable: flags & 2 != 0, file: ByteRange(offset: offset, end: offset + length),
                        address: address))
            }
            return (machine, segments)
        }
        guard let parsed else { return nil }
        machine = parsed.machine
        segments = parsed.segments
        interpreter = segments.first { $0.type == Self.interpreterType && $0.file.count <= 4096 }?.file
    }

    /// The ranges of the file that the dynamic loader always reads: the first loaded segment and all writable segments.
    /// The first loaded segment holds the symbols and relocations. The relocations change the writable segments.
    public var readByLoader: [ByteRange] {
        let loaded = segments.filter { $0.type == Self.loadable && !$0.file.isEmpty }
        return loaded.enumerated().filter { $0.offset == 0 || $0.element.isWritable }.map(\.element.file)
    }

    /// Returns the names in the dynamic section. The result is empty if the file has no dynamic section, or if bytes
    /// are missing or corrupt.
    ///
    /// - Parameter read: returns the bytes of a range of the file; `nil` if the bytes are missing.
    public func links(_ read: (ByteRange) -> [UInt8]?) -> Links {
        guard let section = segments.first(where: { $0.type == Self.dynamic })?.file, section.count <= 1 << 16,
            let table = read(section)
        else { return Links() }
        var needed: [UInt64] = []
        var paths: [UInt64] = []
        var strings: (address: UInt64, size: UInt64) = (0, 0)
        table.withUnsafeBytes { bytes in
            var position = 0
            while let tag = bytes.littleEndian(UInt64.self, at: position),
                let value = bytes.littleEndian(UInt64.self, at: position + 8), tag != 0
            {
                switch tag {
                case 1 where needed.count < Self.maximumNeeded: needed.append(value)
                case 5: strings.address = value
                case 10: strings.size = value
                case 15, 29:
                    if paths.count < Self.maximumPaths { paths.append(value) }
                default: break
                }
                position += 16
            }
        }
        guard strings.size <= 1 << 24, let offset = fileOffset(of: strings.address),
            let range = ByteRange(offset: offset, count: strings.size), let names = read(range)
        else { return Links() }
        func name(_ at: UInt64) -> String? {
            guard let start = Int(exactly: at), start < names.count else { return nil }
            return String(validating: names[start...].prefix(Self.longestName).prefix { $0 != 0 }, as: UTF8.self)
        }
        return Links(
            needed: needed.compactMap(name),
            searchPath: Array(
                paths.compactMap(name).flatMap { $0.split(separator: ":").map(String.init) }
                    .prefix(Self.maximumDirectories)))
    }

    private func fileOffset(of address: UInt64) -> UInt64? {
        for segment in segments where segment.type == Self.loadable {
            if address >= segment.address, address - segment.address < segment.file.count {
                return segment.file.offset + (address - segment.address)
            }
        }
        return nil
    }
}
