import Artifacts
import Base
import Linux
import Registry
import SystemPackage

/// A file that several threads read and write at once, each at places of its own. It is closed when nobody has it any more.
final class ScratchFile: Sendable {
    /// Bytes that are left free on the file system, at least: others use it, too.
    private static let reserve: UInt64 = 1 << 30
    /// So often it is looked at how many there are.
    private static let interval: UInt64 = 64 << 20

    private let owner: OwnedDescriptor
    private let path: String

    init(_ path: String) throws(Errno) {
        owner = try Sys.open(path, [.readWrite, .create])
        self.path = path
    }

    /// - Throws: ``ArtifactError`` when the file, which has become `size` bytes long with the last `count`, is too large for where it is: a
    ///   few megabytes of a layer may decode to terabytes.
    func checkRoom(_ size: UInt64, after count: Int) throws {
        guard size / Self.interval != (size - UInt64(count)) / Self.interval else { return }
        guard try Sys.statfs(path).availableBytes >= Self.reserve else {
            throw ArtifactError(
                .internal,
                "there is no room for a layer of more than \(size) bytes at \(path): choose another --scratch")
        }
    }

    /// - Throws: `Errno`, or ``ArtifactError`` when the file ends before the range does.
    func read(_ range: ByteRange) throws -> [UInt8] {
        let bytes = try Sys.pread(owner.raw, count: Int(range.count), at: range.offset)
        guard bytes.count == Int(range.count) else {
            throw ArtifactError(.internal, "the scratch file of a layer is shorter than it was")
        }
        return bytes
    }

    func write(_ bytes: [UInt8], at offset: UInt64) throws(Errno) {
        try bytes.withUnsafeBufferPointer { (bytes) throws(Errno) in
            try Sys.pwriteAll(owner.raw, UnsafeRawBufferPointer(bytes), at: offset)
        }
    }
}

/// The blob of a layer that is written anew, as it grows in a file.
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

    /// To be called once, when nothing more is appended.
    mutating func finish(_ mediaType: String, _ annotations: [String: String] = [:]) -> Descriptor {
        Descriptor(mediaType: mediaType, digest: hasher.finish(), size: size, annotations: annotations)
    }
}
