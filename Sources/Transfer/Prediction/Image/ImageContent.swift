import Base
public import Linux

/// The content of one layer, read from a descriptor that cannot be written to.
///
/// The file has holes where nothing has come. So a part is read only after ``StartPrediction`` has heard that it is
/// present.
public final class ImageContent: Sendable {
    private let descriptor: OwnedDescriptor
    /// True when parts of many files share an extent, so that a reader takes their neighbors along.
    let extentsSpanFiles: Bool

    public init(_ descriptor: consuming OwnedDescriptor, extentsSpanFiles: Bool) {
        self.descriptor = descriptor
        self.extentsSpanFiles = extentsSpanFiles
    }

    /// Reads `range` of the content space; `nil` when the file gives fewer bytes.
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

    /// The largest part that an analyzer reads: the names of an ELF file's symbols.
    private static let longestRead = 16 << 20
}
