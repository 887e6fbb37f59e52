import Base
import LayerFormats
import Linux
import NIOCore
import NIOPosix
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

extension RegistryClient {
    /// Puts the archive of a layer into a file; gives what is in it, and how large it is.
    ///
    /// - Parameter read: called with bytes of the layer as they are done with.
    func storeArchive(
        of layer: Descriptor, diffID: Digest, in repository: Repository, _ file: ScratchFile, _ workers: NIOThreadPool,
        _ read: @Sendable (Int) -> Void
    ) async throws -> (entries: [ArchivedEntry], size: UInt64) {
        // In a box: it belongs to one thread at a time, which is the one that runs the step.
        let state = Guarded(StoredArchive(listing: ArchiveListing(blobDigest: layer.digest), file: file))
        let stream = try await open(
            BlobLocation(repository: repository, digest: layer.digest), .whole, priority: .background,
            knownSize: layer.size)
        for try await buffer in stream {
            try await workers.runIfActive {
                try state.withLock { state in try buffer.withUnsafeReadableBytes { try state.push($0) } }
            }
            read(buffer.readableBytes)
        }
        return try await workers.runIfActive {
            try state.withLock { state in
                let found = try state.finish()
                guard found.diffID == diffID else {
                    throw ArtifactError(
                        .badLayer,
                        "layer \(layer.digest) of \(repository) unpacks to \(found.diffID), and the image says \(diffID)"
                    )
                }
                return (found.entries, state.size)
            }
        }
    }

    /// Pushes a blob that lies in a file.
    func push(
        _ blob: Descriptor, in file: ScratchFile, to repository: Repository, _ workers: NIOThreadPool
    ) async throws(RegistryError) {
        try await pushBlob(BlobLocation(repository: repository, digest: blob.digest), size: blob.size) {
            range throws(RegistryError) in
            do {
                return try await workers.runIfActive { ByteBuffer(bytes: try file.read(range)) }
            } catch {
                throw RegistryError(.connection, "the scratch file of blob \(blob.digest)", cause: error)
            }
        }
    }
}

/// An archive on its way into a file.
private struct StoredArchive {
    let listing: ArchiveListing
    let file: ScratchFile
    private(set) var size: UInt64 = 0
    /// What has been decoded and not been written.
    private var made: [UInt8] = []

    init(listing: ArchiveListing, file: ScratchFile) {
        self.listing = listing
        self.file = file
    }

    mutating func push(_ bytes: UnsafeRawBufferPointer) throws {
        try listing.push(bytes) { made += $0 }
        try write()
    }

    mutating func finish() throws -> (entries: [ArchivedEntry], diffID: Digest) {
        let found = try listing.finish { made += $0 }
        try write()
        return found
    }

    private mutating func write() throws {
        try file.write(made, at: size)
        size += UInt64(made.count)
        try file.checkRoom(size, after: made.count)
        made.removeAll(keepingCapacity: true)
    }
}

extension NIOThreadPool {
    /// Makes `count` things, so many at once, and has `use` called with each in the order of their numbers, one at a time.
    func inOrder<Made: Sendable>(
        _ count: Int, atOnce: Int, make: @escaping @Sendable (Int) throws -> Made,
        use: @escaping @Sendable (Made) throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: (Int, Made).self) { group in
            var waiting: [Int: Made] = [:]
            var (started, used) = (0, 0)
            while used < count {
                while started < count, started - used < atOnce {
                    let number = started
                    group.addTask { (number, try await self.runIfActive { try make(number) }) }
                    started += 1
                }
                guard let (number, made) = try await group.next() else { break }
                waiting[number] = made
                while let next = waiting.removeValue(forKey: used) {
                    try await runIfActive { try use(next) }
                    used += 1
                }
            }
        }
    }
}
