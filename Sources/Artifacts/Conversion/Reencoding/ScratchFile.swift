import Artifacts
import Base
import Linux
import Registry
import SystemPackage

/// A temporary file that several threads read and write concurrently, each at its own positions. Releasing the last
/// reference closes the file.
final class ScratchFile: Sendable {
    /// The number of bytes to leave free on the file system for other programs.
    private static let reserve: UInt64 = 1 << 30
    /// The number of written bytes between two checks of the free space.
    private static let interval: UInt64 = 64 << 20

    private let owner: OwnedDescriptor
    private let path: String

    init(_ path: String) throws(Errno) {
        owner = try Sys.open(path, [.readWrite, .create])
        self.path = path
    }

    /// Checks that the file system has at least ``reserve`` bytes of free space, once for each ``interval`` of written
    /// bytes. Without the check, a layer of a few megabytes that decodes to terabytes would fill the disk.
    ///
    /// - Parameters:
    ///   - size: the size of the file after the last write, in bytes.
    ///   - count: the number of bytes of the last write.
    /// - Throws: ``ArtifactError`` if too little space is left, or `Errno`.
    func checkRoom(_ size: UInt64, after count: Int) throws {
        guard size / Self.interval != (size - UInt64(count)) / Self.interval else { return }
        guard try Sys.statfs(path).availableBytes >= Self.reserve else {
            throw ArtifactError(
                .internal,
                "no room for a layer of more than \(size) bytes at \(path): choose another --scratch")
        }
    }

    /// Returns the bytes of `range`.
    ///
    /// - Throws: `Errno`, or ``ArtifactError`` if the file ends before the end of the range.
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

/// The blob of a converted or copied layer, which grows in a file.
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

    /// Returns the blob's descriptor. Call this once, after the last ``append(_:)``.
    mutating func finish(_ mediaType: String, _ annotations: [String: String] = [:]) -> Descriptor {
        Descriptor(mediaType: mediaType, digest: hasher.finish(), size: size, annotations: annotations)
    }
}
