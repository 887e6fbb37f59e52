public import Base
import CZstd

/// An encoder of zstd frames.
public enum ZstdEncoder {
    /// Compresses `bytes` into one frame, whose header states their size. The result is deterministic for one version
    /// of libzstd.
    ///
    /// - Throws: `outOfMemory` if libzstd fails.
    public static func frame(_ bytes: UnsafeRawBufferPointer, level: Int32) throws(CodecError) -> [UInt8] {
        var failure: CodecError?
        let frame = [UInt8](unsafeUninitializedCapacity: ZSTD_compressBound(bytes.count)) { output, count in
            let result = ZSTD_compress(output.baseAddress, output.count, bytes.baseAddress, bytes.count, level)
            guard ZSTD_isError(result) == 0 else {
                failure = CodecError(.outOfMemory, "cannot compress: \(String(cString: ZSTD_getErrorName(result)))")
                return
            }
            count = result
        }
        if let failure { throw failure }
        return frame
    }
}
