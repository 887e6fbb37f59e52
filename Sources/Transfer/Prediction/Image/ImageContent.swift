import Base
public import Linux

/// The content of one layer, read from a descriptor that does not allow writing.
///
/// The file has holes where no bytes have arrived. So a part is read only after ``StartPrediction/present(_:)`` has
/// reported it.
public final class ImageContent: Sendable {
    private let descriptor: OwnedDescriptor
    /// True if extents hold parts of many files, so that a read brings a file's neighbors along.
    let extentsSpanFiles: Bool

    public init(_ descriptor: consuming OwnedDescriptor, extentsSpanFiles: Bool) {
        self.descriptor = descriptor
        self.extentsSpanFiles = extentsSpanFiles
    }

    /// Reads `range` of the content space; `nil` if the range is too long or the file returns fewer bytes.
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

    /// The largest part that an analyzer reads, in bytes: the names of an ELF file's symbols.
    private static let longestRead = 16 << 20
}
