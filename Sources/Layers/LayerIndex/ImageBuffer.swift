/// The bytes of an EROFS image under construction, with checked little-endian stores.
///
/// The writer computes every offset itself. The checks stay on anyway, because a wrong offset would write outside the
/// array.
struct ImageBuffer {
    let bytes: UnsafeMutableRawBufferPointer

    @inline(__always)
    func store<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, at offset: Int) {
        precondition(offset >= 0 && offset <= bytes.count - MemoryLayout<Value>.size)
        bytes.storeBytes(of: value.littleEndian, toByteOffset: offset, as: Value.self)
    }

    @inline(__always)
    func copy(_ source: UnsafeRawBufferPointer, at offset: Int) {
        precondition(offset >= 0 && offset <= bytes.count - source.count)
        UnsafeMutableRawBufferPointer(rebasing: bytes[offset..<offset + source.count]).copyMemory(from: source)
    }
}
