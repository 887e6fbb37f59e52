public import Base
import CZlib

/// An encoder of gzip members.
public enum GzipEncoder {
    /// Compresses `bytes` into one member without a name or a time. The result is deterministic for one version of
    /// zlib.
    ///
    /// - Parameters:
    ///   - bytes: the data, less than 1 GiB.
    ///   - level: the compression level, 1 to 9.
    /// - Throws: `outOfMemory`, or `unsupported` if there are too many bytes.
    public static func member(_ bytes: UnsafeRawBufferPointer, level: Int32) throws(CodecError) -> [UInt8] {
        guard bytes.count < 1 << 30 else {
            throw CodecError(.unsupported, "a gzip member of \(bytes.count) bytes")
        }
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        defer { stream.deallocate() }
        // Adding 16 to the window bits selects the gzip wrapper.
        let result = deflateInit2_(
            stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
        guard result == Z_OK else { throw CodecError(.outOfMemory, "no memory for a gzip encoder") }
        defer { deflateEnd(stream) }
        // zlib only reads through `next_in`.
        stream.pointee.next_in = UnsafeMutablePointer(
            mutating: bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
        stream.pointee.avail_in = UInt32(bytes.count)
        let bound = Int(deflateBound(stream, UInt(bytes.count)))
        var isComplete = false
        let member = [UInt8](unsafeUninitializedCapacity: bound) { output, count in
            stream.pointee.next_out = output.baseAddress
            stream.pointee.avail_out = UInt32(output.count)
            isComplete = deflate(stream, Z_FINISH) == Z_STREAM_END
            count = output.count - Int(stream.pointee.avail_out)
        }
        guard isComplete else { throw CodecError(.outOfMemory, "failed to compress a gzip member") }
        return member
    }
}
