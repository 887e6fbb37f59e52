public import Base
public import LayerIndex
import Linux
import SystemPackage

/// The node's cache: one directory per layer and one per chain.
///
/// ```
/// lock                           the lock of the running process
/// blobs/<digest>/tree.erofs      the layer's tree        (LayerIndex describes the format)
/// blobs/<digest>/chunks          its chunk table         (likewise)
/// blobs/<digest>/content         its content space: the bytes of its files, end to end, as a sparse file. A hole is
///                                zeros or has not been fetched
/// blobs/<digest>/present         one bit per chunk: set if `content` has the chunk   (``PresenceFormat``)
/// blobs/<digest>/windows         data for decoding from the middle of a DEFLATE stream, if needed   (``WindowsFile``)
/// blobs/<digest>/origin          where the index came from, until an audit succeeds   (``origin(of:)``)
/// blobs/<digest>/gaps            the decoded bytes outside the chunks, until the same audit   (``TarSplitLog``)
/// chains/<chain ID>/tree.erofs   the merged tree of a chain; its device tags name the layers
/// refused/<digest>               markers of layers that failed an audit
/// installing/                    unfinished directories; emptied at start
/// set-aside/                     the quarantine: the last few unusable files and directories
/// ```
///
/// Digests and chain IDs are written as 64 hexadecimal digits. A directory appears in `blobs` or `chains` by one
/// rename, when it is complete and on the disk. So a crash leaves it whole or absent. Everything can be rebuilt. The
/// store quarantines and reports entries that are foreign, damaged or of another version, and then treats them as
/// absent.
///
/// Methods may be called from any thread. They may wait for the disk, so never call them on an event loop.
public final class ContentStore: Sendable {
    /// Options of a store.
    public struct Options: Sendable {
        /// True for a store without snapshots that is deleted soon. Its root may lie in memory (tmpfs) or on an
        /// overlay.
        public var isScratch = false
        /// The identifier of the machine's current boot; `nil` asks the kernel. Tests set it to simulate a crash of the
        /// machine.
        public var bootIdentifier: String?
        /// The callback for reports of unusable files and directories. It runs on the thread that found the file.
        public var report: @Sendable (QuarantinedFile) -> Void = { _ in }

        public init() {}
    }

    /// The store's directory.
    public let root: String

    let boot: String
    let claim: StoreLock
    let shelf: Quarantine
    /// The open layers and chains. The references are weak: an object closes when its last user releases it.
    let layers = OpenObjects<StoredLayer>()
    let chains = OpenObjects<TreeImage>()

    /// Locks `root`, checks its file system, and removes leftovers of a crash. Creates `root` if it is missing.
    ///
    /// - Throws: `.locked` if another process holds the lock, `.unsuitableFileSystem`, `.readOnly`, `.noSpace`, `.io`;
    ///   `.outOfRange` if the boot identifier does not have 36 characters. The message of a locked or unsuitable root
    ///   says what to do.
    public init(root: String, options: Options = Options()) throws(ContentStoreError) {
        self.root = root
        let boot = try ContentStoreError.wrapping("cannot learn which boot this is") { () throws(Errno) in
            if let given = options.bootIdentifier { return given }
            return try Linux.bootIdentifier()
        }
        guard boot.utf8.count == PresenceFormat.sessionLength else {
            throw ContentStoreError(.outOfRange, "a boot identifier has 36 characters: \(boot)")
        }
        self.boot = boot
        try ContentStoreError.wrapping("cannot make \(root)") { () throws(Errno) in try Sys.makeDirectories(root) }
        claim = try StoreLock(root: root)
        shelf = Quarantine(root: root, report: options.report)
        try ContentStoreError.wrapping("cannot make the directories of \(root)") { () throws(Errno) in
            for name in ["blobs", "chains", "installing", "refused"] { try Sys.makeDirectories("\(root)/\(name)") }
        }
        try FileSystemCheck.run(root, isScratch: options.isScratch)
        try clean()
    }

    // MARK: Layers

    /// Returns the layer of `blob`, opened once and shared; `nil` if there is no usable index for it.
    public func layer(_ blob: Digest) throws(ContentStoreError) -> StoredLayer? {
        try layers.value(blob) { () throws(ContentStoreError) in try openLayer(blob) }
    }

    /// Stores the index of `blob` with empty content, and opens the layer. If a usable index is already stored, the
    /// store returns that layer and ignores `index`.
    ///
    /// Several threads may install the same blob at once, and a crash at any point does no harm.
    ///
    /// - Parameter origin: a record of where the index came from, for a later audit; `nil` for no audit. At most 4096
    ///   bytes. See ``origin(of:)``.
    /// - Throws: `.badIndex` if `index` belongs to another blob or cannot be read back; `.noSpace`, `.readOnly`, `.io`.
    public func install(
        _ blob: Digest, index: LayerIndexBytes, origin: [UInt8]? = nil
    ) throws(ContentStoreError) -> StoredLayer {
        let layer = try layers.value(blob) { () throws(ContentStoreError) in
            if let layer = try openLayer(blob) { return layer }
            try installNew(at: layerDirectory(blob)) { (directory) throws(ContentStoreError) in
                try ContentStoreError.wrapping("cannot store the index of \(blob)") { () throws(Errno) in
                    try Self.writeDurably(directory + "/tree.erofs", index.tree)
                    try Self.writeDurably(directory + "/chunks", index.chunks)
                    if let origin { try Self.writeDurably(directory + "/origin", origin) }
                }
                let opener = opener(blob, directory)
                try opener.create(try Self.orBadIndex("the index of \(blob)") { try opener.index() })
            }
            return try openLayer(blob)
        }
        guard let layer else { throw ContentStoreError(.io, "the index of \(blob) is gone as soon as it is written") }
        return layer
    }

    private func openLayer(_ blob: Digest) throws(ContentStoreError) -> StoredLayer? {
        let directory = layerDirectory(blob)
        return try openOrQuarantine(directory) { try opener(blob, directory).open() }
    }

    /// Returns the result of `body` for `directory`; `nil` if the directory is absent or had to be quarantined.
    func openOrQuarantine<Value>(
        _ directory: String, _ body: () throws -> Value
    ) throws(ContentStoreError) -> Value? {
        let exists = try ContentStoreError.wrapping("cannot look at \(directory)") { () throws(Errno) in
            try Sys.exists(directory)
        }
        guard exists else { return nil }
        do {
            return try body()
        } catch let damage as LayerOpener.Damage {
            try shelf.move(directory, reason: damage.reason)
            return nil
        } catch {
            throw error as? ContentStoreError ?? ContentStoreError(.io, "cannot open \(directory)", cause: error)
        }
    }

    /// Runs `body`. Converts a ``LayerOpener/Damage`` that it throws to `.badIndex`, because the bad data came from the
    /// caller. `what` names the data in the message.
    static func orBadIndex<Value>(
        _ what: String, _ body: () throws -> Value
    ) throws(ContentStoreError) -> Value {
        do {
            return try body()
        } catch let damage as LayerOpener.Damage {
            throw ContentStoreError(.badIndex, "\(what) cannot be used: \(damage.reason)")
        } catch {
            throw error as? ContentStoreError ?? ContentStoreError(.io, "\(what) cannot be read back", cause: error)
        }
    }

    private func opener(_ blob: Digest, _ directory: String) -> LayerOpener {
        LayerOpener(digest: blob, directory: directory, boot: boot, shelf: shelf, claim: claim)
    }

    func layerDirectory(_ blob: Digest) -> String { "\(root)/blobs/\(blob.hex)" }

    // MARK: Installation

    /// Runs `body` to fill a new directory. Then flushes the directory to the disk and renames it to `target` in one
    /// step.
    func installNew(
        at target: String, _ body: (_ directory: String) throws(ContentStoreError) -> Void
    ) throws(ContentStoreError) {
        let directory = try ContentStoreError.wrapping("cannot make a directory in \(root)/installing") {
            () throws(Errno) in
            try Sys.makeTemporaryDirectory(in: root + "/installing", prefix: "new-")
        }
        do throws(ContentStoreError) {
            try body(directory)
            try ContentStoreError.wrapping("cannot put \(target) in place") { () throws(Errno) in
                try Sys.syncDirectory(directory)
                try Sys.rename(directory, to: target, replacing: false)
                try Sys.syncDirectory(String(target.prefix(upTo: target.lastIndex(of: "/") ?? target.startIndex)))
            }
        } catch {
            // If this removal fails, the next start removes the directory.
            try? removeTree(directory)
            throw error
        }
    }

    static func writeDurably(_ path: String, _ bytes: [UInt8]) throws(Errno) {
        let file = try Sys.open(path, [.writeOnly, .create, .exclusive])
        try Sys.pwriteAll(file.raw, bytes, at: 0)
        try Sys.fsync(file.raw)
    }

    // MARK: Durability

    /// Makes every open layer durable (``StoredLayer/makeDurable()``). Tries all of them, then throws the first
    /// failure.
    public func makeAllDurable() throws(ContentStoreError) {
        var failure: ContentStoreError?
        for layer in layers.open {
            do throws(ContentStoreError) {
                try layer.makeDurable()
            } catch {
                failure = failure ?? error
            }
        }
        if let failure { throw failure }
    }
}
