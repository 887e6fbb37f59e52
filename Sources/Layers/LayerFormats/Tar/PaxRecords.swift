import Base

/// The records of a pax header that matter to a layer (POSIX.1-2017, pax, "pax Extended Header").
///
/// As in Go's archive/tar, the last record of a key wins. If that record's value is empty, the key counts as absent.
struct PaxRecords {
    private(set) var path: [UInt8]?
    private(set) var linkPath: [UInt8]?
    private(set) var size: UInt64?
    private(set) var uid: UInt64?
    private(set) var gid: UInt64?
    private(set) var modified: (seconds: Int64, nanoseconds: UInt32)?
    /// The extended attributes in the order of the header. An attribute's value may be empty, unlike the values of
    /// other keys. If several attributes have the same name, the index builder uses the last one.
    private(set) var xattrs: [(name: [UInt8], value: [UInt8])] = []
    /// The records of a sparse file in one of GNU tar's pax formats.
    private(set) var sparse = SparseRecords()

    private var attributeNameBytes = 0

    init() {}

    /// Parses all records of a pax header.
    ///
    /// - Throws: an error whose message does not name the entry.
    init(_ bytes: UnsafeRawBufferPointer, limits: TarLimits) throws(LayerFormatError) {
        var position = 0
        while position < bytes.count {
            position = try takeRecord(bytes, at: position, limits: limits)
        }
    }

    /// Parses one record, `<length> <key>=<value>\n`. The length counts the whole record, including its own digits.
    ///
    /// - Returns: the position of the next record.
    private mutating func takeRecord(
        _ bytes: UnsafeRawBufferPointer, at start: Int, limits: TarLimits
    ) throws(LayerFormatError) -> Int {
        var position = start
        var length = 0
        while position < bytes.count, let digit = Self.digitValue(bytes[position]) {
            length = length * 10 + digit
            guard length <= bytes.count - start else { throw Self.damaged("a record that is longer than the header") }
            position += 1
        }
        guard position > start, position < bytes.count, bytes[position] == 0x20 else {
            throw Self.damaged("a record without a length")
        }
        let end = start + length
        guard position + 1 < end, bytes[end - 1] == 0x0A else { throw Self.damaged("a record that has no end") }
        let body = UnsafeRawBufferPointer(rebasing: bytes[position + 1..<end - 1])
        guard let equals = body.firstIndex(of: 0x3D), equals > 0 else { throw Self.damaged("a record without a key") }
        let key = UnsafeRawBufferPointer(rebasing: body[..<equals])
        guard !key.contains(0) else { throw Self.damaged("a key with a NUL byte") }
        try set(key, to: UnsafeRawBufferPointer(rebasing: body[(equals + 1)...]), limits: limits)
        return end
    }

    private mutating func set(
        _ key: UnsafeRawBufferPointer, to value: UnsafeRawBufferPointer, limits: TarLimits
    ) throws(LayerFormatError) {
        if key.starts(with: "SCHILY.xattr.".utf8) {
            let name = key.dropFirst("SCHILY.xattr.".utf8.count)
            attributeNameBytes += name.count + 1
            guard attributeNameBytes <= limits.attributeNameBytes else {
                throw LayerFormatError(
                    .limit, "extended attributes with names of more than \(limits.attributeNameBytes) bytes")
            }
            xattrs.append((Array(name), Array(value)))
        } else if key.starts(with: "GNU.sparse.".utf8) {
            try sparse.set(key.dropFirst("GNU.sparse.".utf8.count), to: value)
        } else if key.elementsEqual("mtime".utf8) {
            modified = try Self.time(value)
        } else if key.elementsEqual("path".utf8) {
            path = try Self.text(value)
        } else if key.elementsEqual("linkpath".utf8) {
            linkPath = try Self.text(value)
        } else if key.elementsEqual("size".utf8) {
            size = try Self.number(value)
        } else if key.elementsEqual("uid".utf8) {
            uid = try Self.number(value)
        } else if key.elementsEqual("gid".utf8) {
            gid = try Self.number(value)
        }
    }

    // MARK: - Values

    /// Parses a decimal number of at most 63 bits; returns `nil` for any other text.
    static func decimal(_ value: UnsafeRawBufferPointer) -> UInt64? {
        decimal(value[...]).map { UInt64($0) }
    }

    private static func text(_ value: UnsafeRawBufferPointer) throws(LayerFormatError) -> [UInt8]? {
        guard !value.contains(0) else { throw damaged("a path with a NUL byte") }
        return value.isEmpty ? nil : Array(value)
    }

    private static func number(_ value: UnsafeRawBufferPointer) throws(LayerFormatError) -> UInt64? {
        guard !value.isEmpty else { return nil }
        guard let number = decimal(value[...]) else { throw damaged("a number that is none, or too large") }
        return UInt64(number)
    }

    /// Parses seconds since 1970 with an optional sign and fraction; returns `nil` if `value` is empty. Ignores the
    /// digits of the fraction after the ninth.
    private static func time(
        _ value: UnsafeRawBufferPointer
    ) throws(LayerFormatError) -> (seconds: Int64, nanoseconds: UInt32)? {
        guard let first = value.first else { return nil }
        let isNegative = first == 0x2D
        let unsigned = isNegative || first == 0x2B ? value.dropFirst() : value[...]
        let whole = unsigned.prefix { $0 != 0x2E }
        guard let seconds = decimal(whole) else { throw damaged("a time that is none") }
        var nanoseconds: UInt32 = 0
        var unit: UInt32 = 100_000_000
        for byte in unsigned.dropFirst(whole.count + 1) {
            guard let digit = digitValue(byte) else { throw damaged("a time that is none") }
            nanoseconds += UInt32(digit) * unit
            unit /= 10
        }
        guard isNegative else { return (seconds, nanoseconds) }
        return nanoseconds == 0 ? (-seconds, 0) : (-seconds - 1, 1_000_000_000 - nanoseconds)
    }

    /// Parses one or more digits; returns `nil` for any other text, or for a number over `Int64.max`.
    private static func decimal(_ text: Slice<UnsafeRawBufferPointer>) -> Int64? {
        guard !text.isEmpty else { return nil }
        var value: Int64 = 0
        for byte in text {
            guard let digit = digitValue(byte) else { return nil }
            let product = value.multipliedReportingOverflow(by: 10)
            let sum = product.partialValue.addingReportingOverflow(Int64(digit))
            guard !product.overflow, !sum.overflow else { return nil }
            value = sum.partialValue
        }
        return value
    }

    private static func digitValue(_ byte: UInt8) -> Int? {
        (0x30...0x39).contains(byte) ? Int(byte) - 0x30 : nil
    }

    private static func damaged(_ what: String) -> LayerFormatError {
        LayerFormatError(.badArchive, "a pax header with \(what)")
    }
}

/// The records `GNU.sparse.*` of a pax header.
struct SparseRecords {
    private var major: [UInt8]?
    private var minor: [UInt8]?
    private var size: UInt64?
    private var realSize: UInt64?
    /// The file's real name. The name in the file's tar header is made up.
    private(set) var path: [UInt8]?
    private var map: [UInt8]?
    /// The offsets and lengths of the file's segments, alternating, in GNU tar's sparse format 0.0. That format has a
    /// separate record for each of these numbers.
    private var values: [UInt64] = []

    fileprivate mutating func set(
        _ key: Slice<UnsafeRawBufferPointer>, to value: UnsafeRawBufferPointer
    ) throws(LayerFormatError) {
        if key.elementsEqual("offset".utf8) || key.elementsEqual("numbytes".utf8) {
            guard key.first == (values.count % 2 == 0 ? UInt8(ascii: "o") : UInt8(ascii: "n")),
                let number = PaxRecords.decimal(value)
            else { throw SparseFile.damaged("records in a wrong order") }
            values.append(number)
        } else if key.elementsEqual("major".utf8) {
            major = Array(value)
        } else if key.elementsEqual("minor".utf8) {
            minor = Array(value)
        } else if key.elementsEqual("size".utf8) || key.elementsEqual("realsize".utf8) {
            guard !value.isEmpty else { return }
            guard let number = PaxRecords.decimal(value) else { throw SparseFile.damaged("a size that is none") }
            if key.first == UInt8(ascii: "s") { size = number } else { realSize = number }
        } else if key.elementsEqual("map".utf8) {
            map = Array(value)
        } else if key.elementsEqual("name".utf8), !value.isEmpty {
            path = Array(value)
        }
    }

    /// Returns the sparse file that the records describe; `nil` if they describe none.
    ///
    /// - Parameters:
    ///   - headerSize: the size of the file in bytes. It is used only if the records do not contain the size.
    ///   - maximumCount: the maximum number of segments.
    func file(size headerSize: UInt64, maximumCount: Int) throws(LayerFormatError) -> SparseFile? {
        let zero = Array("0".utf8)
        let one = Array("1".utf8)
        let isLater: Bool
        switch (major ?? [], minor ?? []) {
        case (zero, zero), (zero, one): isLater = false
        case (one, zero): isLater = true
        case ([], []):
            guard !values.isEmpty || !(map ?? []).isEmpty else { return nil }
            isLater = false
        default: return nil
        }
        let size = size ?? realSize ?? headerSize
        guard !isLater else { return try SparseFile(map: nil, size: size, maximumCount: maximumCount) }
        var values = values
        if values.isEmpty {
            for text in (map ?? []).split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
                guard let number = text.withUnsafeBytes({ PaxRecords.decimal($0) }) else {
                    throw SparseFile.damaged("a map with a number that is none")
                }
                values.append(number)
            }
        }
        return try SparseFile(map: values, size: size, maximumCount: maximumCount)
    }
}
