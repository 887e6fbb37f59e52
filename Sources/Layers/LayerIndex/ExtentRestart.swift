public import Base

/// The data that a decoder needs to start an extent in the middle of a DEFLATE stream.
///
/// The extent may refer to decoded data before its start. That data, at most 32 KiB, is the extent's window. A layer's
/// windows are in a separate blob (``WindowsBlob``), each compressed on its own.
public struct ExtentRestart: Sendable, Equatable {
    /// The maximum size in bytes of a compressed window in the windows blob.
    public static let maximumWindow: UInt64 = 64 << 10

    /// The number of the extent's bits that are in the byte before ``Extent/blob``: 0 to 7. A DEFLATE block may start
    /// within a byte.
    public var bitCount: UInt8
    /// The value of the ``bitCount`` bits. The lowest bit comes first in the stream.
    public var bits: UInt8
    /// The range of the compressed window in the layer's windows blob; empty if the extent needs no window.
    public var window: ByteRange
    /// The CRC-32C of the compressed window; 0 for an empty window. With this checksum, a reader can tell a damaged
    /// window from a damaged extent. Chunk digests alone do not show the difference.
    public var windowChecksum: UInt32

    public init(bitCount: UInt8, bits: UInt8, window: ByteRange, windowChecksum: UInt32) {
        self.bitCount = bitCount
        self.bits = bits
        self.window = window
        self.windowChecksum = windowChecksum
    }

    /// True if ``bitCount`` is at most 7, ``bits`` fits into that number of bits, and the compressed window has at most
    /// ``maximumWindow`` bytes.
    var isInRange: Bool {
        bitCount < 8 && UInt16(bits) < 1 << UInt16(bitCount) && window.count <= Self.maximumWindow
    }

    /// Returns true if `bytes` have the length and the checksum of this extent's compressed window.
    public func isWindow(_ bytes: [UInt8]) -> Bool {
        UInt64(bytes.count) == window.count && Self.checksum(bytes) == windowChecksum
    }

    /// Returns the ``windowChecksum`` of a compressed window that consists of `bytes`.
    public static func checksum(_ bytes: [UInt8]) -> UInt32 {
        CRC32C.checksum(bytes)
    }
}

/// A reference to the blob with the compressed windows of a layer's extents (``ExtentRestart/window``).
public struct WindowsBlob: Sendable, Equatable {
    public var digest: Digest
    /// The blob's size in bytes.
    public var size: UInt64

    public init(digest: Digest, size: UInt64) {
        self.digest = digest
        self.size = size
    }
}
