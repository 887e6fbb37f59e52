import Base
import Linux

/// The bytes of an index file, in memory or mapped, with bounds-checked little-endian access.
final class IndexBytes: @unchecked Sendable {
    // Safe to share: the bytes are never written after `init`, and do not move while this object lives.
    let bytes: UnsafeRawBufferPointer
    private let mapping: MappedFile?
    private let isOwner: Bool

    /// Stores a copy, because an array's bytes have no address that outlives a call.
    init(copying array: [UInt8]) {
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: array.count, alignment: 16)
        copy.copyBytes(from: array)
        bytes = UnsafeRawBufferPointer(copy)
        mapping = nil
        isOwner = true
    }

    /// Refers to `bytes` without a copy. The caller guarantees that this object does not outlive them.
    init(borrowing bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
        mapping = nil
        isOwner = false
    }

    init(_ mapping: MappedFile) {
        bytes = mapping.bytes
        self.mapping = mapping
        isOwner = false
    }

    deinit {
        if isOwner { bytes.deallocate() }
    }

    var count: Int { bytes.count }

    /// Releases the memory of mapped pages. Later reads get them from the page cache again.
    func releaseResidentPages() {
        mapping?.releaseResidentPages()
    }

    /// Returns the integer at byte `offset`. Throws if a part of the integer is outside the file.
    @inline(__always)
    func load<Value: FixedWidthInteger & BitwiseCopyable>(
        _ type: Value.Type = Value.self, at offset: Int
    ) throws(LayerIndexError) -> Value {
        guard let value = bytes.littleEndian(type, at: offset) else { throw Self.outside(offset) }
        return value
    }

    /// Returns `count` bytes from `offset` on. Throws if some of these bytes are outside the file.
    @inline(__always)
    func slice(at offset: Int, count: Int) throws(LayerIndexError) -> UnsafeRawBufferPointer {
        guard offset >= 0, count >= 0, offset <= bytes.count, count <= bytes.count - offset else {
            throw Self.outside(offset)
        }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
    }

    @inline(never)
    private static func outside(_ offset: Int) -> LayerIndexError {
        LayerIndexError(.corrupt, "the index points outside itself, to \(offset)")
    }
}
