public import Base
import Concurrency
public import LayerIndex
import Linux
import SystemPackage

/// The node's cache: one directory per layer and one per chain.
///
/// ```
/// lock                           the lock of the running process
/// layers/<key>/key               the layer's ``LayerKey`` as text
/// layers/<key>/tree.erofs        the layer's tree        (LayerIndex describes the format)
/// layers/<key>/chunks            its chunk table         (likewise)
/// layers/<key>/content           its content space: the bytes of its files, end to end, as a sparse file. A hole
///                                stands for zeros, or for bytes that are not fetched yet
/// layers/<key>/present           one bit per chunk: set if `content` has the chunk   (``PresenceFormat``)
/// layers/<key>/windows           data for decoding from the middle of a DEFLATE stream, if needed   (``WindowsFile``)
/// layers/<key>/gaps              the decoded bytes outside the chunks, until verified  (``TarSplitLog``)
/// layers/<key>/verified          the diff ID of a verified layer   (``markVerified(_:diffID:)``)
/// chains/<key>/tree.erofs        the merged tree of a chain; its device tags name the layers
/// refused/<key>                  markers of layers whose indexes do not describe their blobs   (``refuse(_:)``)
/// installing/                    unfinished directories; emptied when the store opens
/// set-aside/                     the quarantine: the latest unusable files and directories, at most 8
/// ```
///
/// The keys of layers and chains are written as 64 hexadecimal digits. A directory appears in `layers` or `chains` by
/// one rename, when it is complete and on the disk. So a crash leaves it whole or absent. Everything can be rebuilt.
/// The store quarantines and reports entries that are foreign, damaged or of another version, and then treats them as
/// absent.
///
/// Methods may be called from any thread. They may wait for the disk, so never call them on an event loop.
public final class ContentStore: Sendable {
    /// Options of a store.
    public struct Options: Sendable {
        /// True for a temporary store, from which no snapshot is mounted. The root of a temporary store may lie in
        /// memory (tmpfs) or on an overlay.
        public var isScratch = false
        /// The identifier of the machine's current boot; `nil` to ask the kernel. Tests set another identifier to
        /// simulate a crash of the machine.
        public var bootIdentifier: String?
        /// The limits of the store's space; `nil` for none. ``SpaceKeeper`` keeps the store within them.
        public var limits: SpaceLimits?
        /// The maximum size in bytes of the chunks that the store keeps in memory because the disk did not take them.
        public var unstoredBytes = 64 << 20
        /// The number of files that the store may have open for its layers. Files of idle layers are closed beyond it.
        public var openFiles = 4096
        /// The callback for reports of unusable files and directories. It runs on the thread that found the file or
        /// directory.
        public var report: @Sendable (QuarantinedFile) -> Void = { _ in }

        public init() {}
    }

    /// The store's directory.
    public let root: String

    let boot: String
    let claim: StoreLock
    let shelf: Quarantine
    /// The open layers. The references are weak: a layer closes when its last user releases it. `chains` works the same
    /// way.
    let layers = OpenObjects<StoredLayer>()
    /// The keys of the layers on the disk, by blob.
    let keys = Guarded<[Digest: Set<LayerKey>]>([:])
    let chains = OpenObjects<TreeImage>()
    let space = CacheSpace()
    let files: DescriptorBudget
    /// The lock for closing files of layers.
    let closingLock = BlockingLock()
    /// The number of rounds in which files were closed.
    let closings = Counter()
    let unstored: UnstoredChunks
    let policy: Guarded<SpacePolicy?>
    /// The lock for evictions, and for the decisions before and after them.
    let evictionLock = BlockingLock()
    let measured: Guarded<SpaceMeasurement>
    /// The time of the last eviction of unused chunks.
    let lastEviction = Guarded<MonotonicTime?>(nil)
    let evictions = Counter()
    let evictedBytes = Counter()

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
        files = DescriptorBudget(limit: options.openFiles)
        unstored = UnstoredChunks(limit: options.unstoredBytes)
        policy = Guarded(options.limits.map(SpacePolicy.init))
        measured = Guarded(SpaceMeasurement(bytes: 0, mark: space.mark(), time: .now()))
        try ContentStoreError.wrapping("cannot make \(root)") { () throws(Errno) in try Sys.makeDirectories(root) }
        claim = try StoreLock(root: root)
        shelf = Quarantine(root: root, report: options.report)
        try ContentStoreError.wrapping("cannot make the directories of \(root)") { () throws(Errno) in
            for name in ["layers", "chains", "installing", "refused"] { try Sys.makeDirectories("\(root)/\(name)") }
        }
        try FileSystemCheck.run(root, isScratch: options.isScratch)
        try clean()
        try adoptLayersWithoutKeys()
        try findLayers()
    }

    // MARK: Layers

    /// Returns the layer, opened once and shared; `nil` if there is no usable index for it.
    public func layer(_ key: LayerKey) throws(ContentStoreError) -> StoredLayer? {
        defer { closeFiles(waitsForDisk: false) }
        return try layers.value(key.id) { () throws(ContentStoreError) in try openLayer(key) }
    }

    /// Returns the layer if it is open. Reads only memory.
    public func opened(_ key: LayerKey) -> StoredLayer? { layers.find(key.id) }

    /// The number of open layers that are not verified. See ``markVerified(_:diffID:)``.
    public var unverifiedCount: Int { layers.open.count { $0.verifiedDiffID == nil } }

    /// Returns the keys of all stored layers with this blob, in a fixed order. Reads only memory.
    public func keys(ofBlob blob: Digest) -> [LayerKey] {
        keys.withLock { $0[blob] ?? [] }.sorted { $0.id < $1.id }
    }

    /// Returns the keys of all stored layers. Reads only memory.
    public var allKeys: [LayerKey] { keys.withLock { $0.values.flatMap { $0 } } }

    /// Stores the index of the layer `key` with empty content, and opens the layer. If the store already has a usable
    /// index for `key`, this function returns the stored layer and ignores `index`.
    ///
    /// Several threads may install the same layer at once. After a crash, the layer is stored completely or not at all.
    ///
    /// - Throws: `.badIndex` if `index` belongs to another blob, cannot be read back, or wrongly marks a chunk as
    ///   zeros; `.noSpace`, `.readOnly`, `.io`.
    public func install(
        _ key: LayerKey, index: LayerIndexBytes
    ) throws(ContentStoreError) -> StoredLayer {
        // The layer also needs directories and small files, and its chain needs a merged tree of about the same size.
        try makeRoom(
            for: 2 * (UInt64(index.tree.count) + UInt64(index.chunks.count)) + 16 * CacheSpace.block,
            "the index of layer \(key.blob)")
        defer { closeFiles(waitsForDisk: false) }
        let layer = try layers.value(key.id) { () throws(ContentStoreError) in
            if let layer = try openLayer(key) { return layer }
            try installNew(at: layerDirectory(key)) { (directory) throws(ContentStoreError) in
                try ContentStoreError.wrapping("cannot store the index of \(key)") { () throws(Errno) in
                    try Self.writeDurably(directory + "/key", Array(key.description.utf8))
                    try Self.writeDurably(directory + "/tree.erofs", index.tree)
                    try Self.writeDurably(directory + "/chunks", index.chunks)
                }
                let opener = opener(key, directory)
                let opened = try Self.orBadIndex("the index of \(key)") { try opener.index() }
                if let chunk = opened.chunks.falseZeros() {
                    throw ContentStoreError(
                        .badIndex, "the index of \(key) marks chunk \(chunk) as zeros, but its digest is another")
                }
                try opener.create(opened)
            }
            keys.withLock { _ = $0[key.blob, default: []].insert(key) }
            return try openLayer(key)
        }
        guard let layer else { throw ContentStoreError(.io, "the index of \(key) is gone as soon as it is written") }
        return layer
    }

    private func openLayer(_ key: LayerKey) throws(ContentStoreError) -> StoredLayer? {
        let directory = layerDirectory(key)
        return try openOrQuarantine(directory) { try opener(key, directory).open() }
    }

    /// Returns the result of `body`, which opens `directory`. Returns `nil` if the directory is absent. Also returns
    /// `nil` if `body` throws ``LayerOpener/Damage``, and then quarantines the directory.
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

    /// Returns the result of `body`, which opens data from the caller. Turns a ``LayerOpener/Damage`` from `body` into
    /// `.badIndex`. `what` names the data in the message.
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

    private func opener(_ key: LayerKey, _ directory: String) -> LayerOpener {
        LayerOpener(
            key: key, directory: directory, boot: boot, shelf: shelf, claim: claim, space: space, files: files,
            unstored: unstored)
    }

    func layerDirectory(_ key: LayerKey) -> String { "\(root)/layers/\(key.id.hex)" }

    // MARK: Installation

    /// Runs `body` to fill a new directory. Then flushes the new directory to the disk, and renames it to `target`.
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
