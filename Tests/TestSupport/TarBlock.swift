/// A tar header that a test sets field by field. It allows what ``TarWriter`` does not write: other formats, and
/// damage.
public struct TarBlock: Sendable {
    /// The format that the magic bytes at offset 257 name.
    public enum Format: Sendable, CaseIterable {
        case v7, ustar, star, gnu
    }

    /// The 512 bytes. Call ``sealed(signed:)`` for a copy with the correct checksum.
    public var bytes = [UInt8](repeating: 0, count: 512)

    public init(_ type: Character, _ name: String, size: Int = 0, format: Format = .ustar) {
        put(name.utf8, at: 0, 100)
        octal(0o644, at: 100, 8)
        octal(0, at: 108, 8)
        octal(0, at: 116, 8)
        octal(size, at: 124, 12)
        octal(1_600_000_000, at: 136, 12)
        put(String(type).utf8, at: 156, 1)
        switch format {
        case .v7: break
        case .ustar: put("ustar\u{0}00".utf8, at: 257, 8)
        case .star:
            put("ustar\u{0}00".utf8, at: 257, 8)
            put("tar\u{0}".utf8, at: 508, 4)
        case .gnu: put("ustar  \u{0}".utf8, at: 257, 8)
        }
    }

    /// Writes the first `width` bytes of `value`, and fills the rest of the field with NULs.
    public mutating func put(_ value: some Collection<UInt8>, at offset: Int, _ width: Int) {
        for position in 0..<width { bytes[offset + position] = 0 }
        for (position, byte) in value.prefix(width).enumerated() { bytes[offset + position] = byte }
    }

    /// Writes `value` in octal digits, with a NUL after them.
    public mutating func octal(_ value: Int, at offset: Int, _ width: Int) {
        let digits = String(value, radix: 8)
        put((String(repeating: "0", count: max(0, width - 1 - digits.count)) + digits).utf8, at: offset, width)
    }

    /// Writes `value` as a base-256 number of GNU tar.
    public mutating func binary(_ value: Int64, at offset: Int, _ width: Int) {
        for position in 0..<width {
            let shift = 8 * (width - 1 - position)
            bytes[offset + position] = UInt8(truncatingIfNeeded: value >> Int64(min(shift, 63)))
        }
        // The sign bits fill the rest of the first byte; its top bit is always set.
        bytes[offset] |= 0x80
    }

    /// Returns a copy that `change` has edited.
    public func with(_ change: (inout TarBlock) -> Void) -> TarBlock {
        var copy = self
        change(&copy)
        return copy
    }

    /// Returns the bytes with the correct checksum. If `signed`, the checksum adds signed bytes, as some old writers
    /// did.
    public func sealed(signed: Bool = false) -> [UInt8] {
        var block = self
        block.put(repeatElement(0x20, count: 8), at: 148, 8)
        let sum = block.bytes.reduce(0) { $0 + (signed ? Int(Int8(bitPattern: $1)) : Int($1)) }
        block.octal(sum, at: 148, 7)
        block.bytes[155] = 0x20
        return block.bytes
    }

    /// Returns the sealed header, `payload`, and the zeros after it.
    public func followed(by payload: [UInt8]) -> [UInt8] {
        sealed() + payload + TarWriter.padding(payload.count)
    }

    /// Returns a pax header or a long name of GNU tar: an entry of `type` that has `payload`.
    public static func extended(_ type: Character, _ payload: [UInt8]) -> [UInt8] {
        TarBlock(type, "extension", size: payload.count).followed(by: payload)
    }

    /// Returns a pax header with these records.
    public static func pax(_ records: [(String, String)], type: Character = "x") -> [UInt8] {
        extended(type, records.flatMap { TarWriter.record($0.0, Array($0.1.utf8)) })
    }

    /// Two blocks of zeros.
    public static let end = [UInt8](repeating: 0, count: 1024)
}
