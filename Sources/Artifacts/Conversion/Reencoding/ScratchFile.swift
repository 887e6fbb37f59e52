import Artifacts
import Base
import Linux
import Registry
import SystemPackage

/// A file that several threads read and write concurrently, each at its own positions. The last reference closes it.
final class ScratchFile: Sendable {
    /// The least free bytes to leave on the file system: others use it, too.
    private static let reserve: UInt64 = 1 << 30
    /// The bytes between two checks of the free space.
    private static let interval: UInt64 = 64 << 20

    private let owner: OwnedDescriptor
    private let path: String

    init(_ path: String) throws(Errno) {
        owner = try Sys.open(path, [.readWrite, .create])
        self.path = path
    }

    /// - Throws: ``ArtifactError`` if the file, which has grown to `size` bytes with the last `count`, exceeds the
    ///   available space: a few megabytes of a layer may decode to terabytes.
    func checkRoom(_ size: UInt64, after count: Int) throws {
        guard size / Self.interval != (size - UInt64(count)) / Self.interval else { return }
        guard try Sys.statfs(path).availableBytes >= Self.reserve else {
            throw ArtifactError(
                .internal,
                "no room for a layer of more than \(size) bytes at \(path): choose another --scratch")
        }
    }

    /// - Throws: `Errno`, or ``ArtifactError`` if the file ends before the range.
    func read(_ range: ByteRange) throws -> [UInt8] {
        let bytes = try Sys.pread(owner.raw, count: Int(range.count), at: range.offset)
        guard bytes.count == Int(range.count) else {
            throw ArtifactError(.internal, "the scratch file of a layer was truncated")
        }
        return bytes
    }

    func write(_ bytes: [UInt8], at offset: UInt64) throws(Errno) {
        try bytes.withUnsafeBufferPointer { (bytes) throws(Errno) in
            try Sys.pwriteAll(owner.raw, UnsafeRawBufferPointer(bytes), at: offset)
        }
    }
}

/// The blob of a converted layer, as it grows in a file.
struct GrowingBlob {
    let file: ScratchFile
    private(set) var size: UInt64 = 0
    private var hasher = DigestHasher()

    init(_ file: ScratchFile) {
        self.file = file
    }

    mutating func append(_ bytes: [UInt8]) throws(Errno) {
        try file.write(bytes, at: size)
        size += UInt64(bytes.count)
        bytes.withUnsafeBytes { hasher.update($0) }
    }

    /// Returns the descriptor. Call it once, after the last append.
    mutating func finish(_ mediaType: String, _ annotations: [String: String] = [:]) -> Descriptor {
        Descriptor(mediaType: mediaType, digest: hasher.finish(), size: size, annotations: annotations)
    }
}
