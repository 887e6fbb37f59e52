public import Base

/// How decoding begins within a DEFLATE stream.
public struct ExtentRestart: Sendable, Equatable {
    /// The most bytes that a window takes in the windows blob.
    public static let maximumWindow: UInt64 = 64 << 10

    /// How many bits of the byte before the extent belong to it, 0 to 7, and these bits.
    public var bitCount: UInt8
    /// See ``bitCount``.
    public var bits: UInt8
    /// Where in the layer's windows blob the window lies, compressed; empty when nothing before the extent is referred to.
    public var window: ByteRange
    /// CRC-32C of these bytes. The bytes of chunks have digests; this tells what is wrong when they do not come out.
    public var windowChecksum: UInt32

    public init(bitCount: UInt8, bits: UInt8, window: ByteRange, windowChecksum: UInt32) {
        self.bitCount = bitCount
        self.bits = bits
        self.window = window
        self.windowChecksum = windowChecksum
    }

    /// Whether the bits are bits of one byte, and the window is no larger than it may be.
    var isInRange: Bool {
        bitCount < 8 && UInt16(bits) < 1 << UInt16(bitCount) && window.count <= Self.maximumWindow
    }

    /// Whether `bytes` are the window, compressed.
    public func isWindow(_ bytes: [UInt8]) -> Bool {
        UInt64(bytes.count) == window.count && Self.checksum(bytes) == windowChecksum
    }

    /// What ``windowChecksum`` of these bytes is.
    public static func checksum(_ bytes: [UInt8]) -> UInt32 {
        CRC32C.checksum(bytes)
    }
}

/// The blob that holds the windows of a layer's restart points.
public struct WindowsBlob: Sendable, Equatable {
    public var digest: Digest
    /// In bytes.
    public var size: UInt64

    public init(digest: Digest, size: UInt64) {
        self.digest = digest
        self.size = size
    }
}
