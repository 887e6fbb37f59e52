import Base
public import Linux

/// The content of one layer, read through a read-only descriptor.
///
/// The content file has a hole wherever bytes have not arrived. So callers read a part only after
/// ``StartPrediction/present(_:)`` has reported it.
public final class ImageContent: Sendable {
    private let descriptor: OwnedDescriptor
    /// True if one extent can hold parts of many files, so that fetching a file also fetches its neighbors.
    let extentsSpanFiles: Bool

    public init(_ descriptor: consuming OwnedDescriptor, extentsSpanFiles: Bool) {
        self.descriptor = descriptor
        self.extentsSpanFiles = extentsSpanFiles
    }

    /// Returns the bytes of `range` in the content space; `nil` if the range is too long or the content file ends
    /// within it.
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

    /// The largest range that an analyzer may read at once, in bytes. The names of an ELF file's symbols need the most.
    private static let longestRead = 16 << 20
}
