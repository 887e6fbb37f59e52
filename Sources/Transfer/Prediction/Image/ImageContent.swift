import Base
public import Linux

/// The content of one layer, read through a read-only file descriptor.
///
/// The content file is sparse: it has a hole wherever bytes have not arrived. So callers read a part only after
/// ``StartPrediction/present(_:)`` has reported it.
public final class ImageContent: Sendable {
    private let descriptor: OwnedDescriptor
    /// True if one extent (the smallest decodable part of the layer's blob) can hold parts of many files. In this case,
    /// fetching a file also fetches its neighbors.
    let extentsSpanFiles: Bool

    public init(_ descriptor: consuming OwnedDescriptor, extentsSpanFiles: Bool) {
        self.descriptor = descriptor
        self.extentsSpanFiles = extentsSpanFiles
    }

    /// Returns the bytes of `range` in the layer's content space; `nil` if the range is too long or cannot be read
    /// completely.
    func bytes(_ range: ByteRange) -> [UInt8]? {
        guard let count = Int(exactly: range.count), count <= Self.longestRead else { return nil }
        var complete = false
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            let raw = UnsafeMutableRawBufferPointer(buffer)
            filled = (try? Sys.preadAll(descriptor.raw, into: raw, at: range.offset)) ?? 0
            complete = filled == count
        }
        return complete ? bytes : nil
    }

    /// The maximum number of bytes that a file analyzer may read at once. The largest such read is the string table of
    /// an ELF file's dynamic symbols, up to this size (``ELFImage/links(_:)``).
    private static let longestRead = 16 << 20
}
