public import Base

/// The 512-byte header of a tar entry. The parser accepts the ustar format (POSIX.1-2017, pax, "ustar Interchange
/// Format"), GNU's format with its base-256 numbers, and the older formats V7 and star. It follows Go's archive/tar,
/// because containerd unpacks layers with that package.
public struct TarHeader: Sendable, Equatable {
    /// The size of a header in bytes, and the unit of payload padding.
    public static let blockSize = 512

    /// The name field up to its first NUL, without the prefix field.
    public let name: [UInt8]
    /// The prefix field of a ustar header: the part of the path before ``name``, without the slash between them. GNU's
    /// own format stores other data in that field, so the prefix is usually empty there.
    public let prefix: [UInt8]
    /// The type flag. For a regular file, it is the character `0`, or NUL in old archives.
    public let type: UInt8
    /// The size of the payload after the header, in bytes.
    public let size: UInt64
    /// The target of a link, up to its first NUL.
    public let linkName: [UInt8]
    /// Permission bits, set-id bits and sticky bit; some writers add the file type.
    public let mode: UInt64
    /// The owner's user ID. A base-256 field can hold more than 32 bits.
    public let uid: UInt64
    /// The owner's group ID. A base-256 field can hold more than 32 bits.
    public let gid: UInt64
    /// The modification time in seconds since 1970; negative before 1970.
    public let modified: Int64
    /// The major number of a device; 0 for other entries, and for V7 headers, which lack the field.
    public let deviceMajor: UInt64
    /// The minor number of a device; 0 for other entries, and for V7 headers, which lack the field.
    public let deviceMinor: UInt64

    /// Parses the header in the first 512 bytes of `block`.
    ///
    /// - Throws: ``CodecErrorCode/truncated`` if `block` is shorter, ``CodecErrorCode/corrupt`` if the bytes are not a
    ///   tar header.
    public init(_ block: UnsafeRawBufferPointer) throws(CodecError) {
        guard block.count >= Self.blockSize else { throw CodecError(.truncated, "truncated tar header") }
        guard Self.hasRightChecksum(block) else { throw CodecError(.corrupt, "checksum mismatch in a tar header") }
        guard let size = Self.unsigned(block[124..<136]) else {
            throw CodecError(.corrupt, "invalid size in a tar header")
        }
        guard let mode = Self.unsigned(block[100..<108]), let uid = Self.unsigned(block[108..<116]),
            let gid = Self.unsigned(block[116..<124]), let modified = Self.number(block[136..<148])
        else { throw CodecError(.corrupt, "invalid mode, owner or time in a tar header") }
        let type = block[156]
        let format = Format(block)
        var device: (major: UInt64, minor: UInt64) = (0, 0)
        if type == UInt8(ascii: "3") || type == UInt8(ascii: "4"), format != .v7 {
            guard let major = Self.unsigned(block[329..<337]), let minor = Self.unsigned(block[337..<345]) else {
                throw CodecError(.corrupt, "invalid device number in a tar header")
            }
            device = (major, minor)
        }
        name = Self.text(block[0..<100])
        self.type = type
        linkName = Self.text(block[157..<257])
        self.size = size
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.modified = modified
        deviceMajor = device.major
        deviceMinor = device.minor
        switch format {
        case .v7: prefix = []
        case .ustar: prefix = Self.text(block[345..<500])
        case .star: prefix = Self.text(block[345..<476])
        case .gnu: prefix = Self.prefixOfOldGo(block)
        }
    }

    private enum Format {
        case v7, ustar, star, gnu

        init(_ block: UnsafeRawBufferPointer) {
            guard block[257..<262].elementsEqual("ustar".utf8) else {
                self = .v7
                return
            }
            switch (block[262], block[263], block[264]) {
            // star stores times in the last bytes of the prefix.
            case (0, _, _): self = block[508..<512].elementsEqual("tar\0".utf8) ? .star : .ustar
            case (0x20, 0x20, 0): self = .gnu
            default: self = .v7
            }
        }
    }

    /// Returns the prefix from a GNU header that Go before 1.8 wrote; empty for any other header. Such a header has a
    /// prefix in place of GNU's access and change times, and many images contain such headers. Like Go today, the
    /// parser recognizes them by time fields that are not numbers (golang.org/issue/12594).
    private static func prefixOfOldGo(_ block: UnsafeRawBufferPointer) -> [UInt8] {
        func isNoTime(_ field: Slice<UnsafeRawBufferPointer>) -> Bool { field.first != 0 && number(field) == nil }
        guard isNoTime(block[345..<357]) || isNoTime(block[357..<369]) else { return [] }
        let prefix = text(block[345..<500])
        return prefix.allSatisfy({ $0 < 0x80 }) ? prefix : []
    }

    /// Returns true if the header's checksum is the sum of all its bytes, counting the checksum field as spaces. Some
    /// old writers stored the sum of the bytes as signed numbers, which is also accepted.
    private static func hasRightChecksum(_ block: UnsafeRawBufferPointer) -> Bool {
        guard let expected = number(block[148..<156]) else { return false }
        var sum: Int64 = 8 * 0x20
        var high: Int64 = 0
        for offset in 0..<blockSize {
            sum &+= Int64(block[offset])
            high &+= Int64(block[offset] >> 7)
        }
        for offset in 148..<156 {
            sum &-= Int64(block[offset])
            high &-= Int64(block[offset] >> 7)
        }
        return expected == sum || expected == sum &- high &* 256
    }

    private static func text(_ field: Slice<UnsafeRawBufferPointer>) -> [UInt8] {
        Array(field.prefix { $0 != 0 })
    }

    private static func unsigned(_ field: Slice<UnsafeRawBufferPointer>) -> UInt64? {
        number(field).flatMap { UInt64(exactly: $0) }
    }

    /// Parses a numeric field, in one of two forms. If the first bit of the field is set, the other bits are a
    /// big-endian number in two's complement. Otherwise the field contains octal digits, with spaces or NULs around
    /// them; a field without digits is 0. Returns `nil` if the field has neither form, or if the number has more than
    /// 64 bits.
    private static func number(_ field: Slice<UnsafeRawBufferPointer>) -> Int64? {
        if let first = field.first, first & 0x80 != 0 {
            var value = Int64(first & 0x3f) - Int64(first & 0x40)
            for byte in field.dropFirst() {
                guard value >> 55 == 0 || value >> 55 == -1 else { return nil }
                value = value << 8 | Int64(byte)
            }
            return value
        }
        // No field has more than 12 digits.
        let digits = field.drop { $0 == 0x20 || $0 == 0 }.prefix { $0 != 0x20 && $0 != 0 }
        var value: Int64 = 0
        for byte in digits {
            guard (0x30...0x37).contains(byte) else { return nil }
            value = value << 3 | Int64(byte & 7)
        }
        return value
    }
}
