public import Base
public import LayerIndex
import Linux
import SystemPackage

/// The node's cache: one directory a layer, one file a chain.
///
/// ```
/// lock                           the claim of the running process
/// blobs/<digest>/tree.erofs      the layer's tree        (LayerIndex says how it is written)
/// blobs/<digest>/chunks          its chunk table         (likewise)
/// blobs/<digest>/content         sparse: its content space; a hole = not fetched
/// blobs/<digest>/present         which chunks are here   (``PresenceFormat``, ``PresenceFile``)
/// chains/<chain ID>/tree.erofs   the merged tree of a chain; its device tags name the layers
/// refused/<digest>               layers that were found not to be what they should be
/// installing/                    what is being made; emptied at start
/// set-aside/                     the last few things that could not be used
/// ```
///
/// Names are 64 hexadecimal digits. A directory appears in `blobs` or `chains` by one rename, complete and on the
/// disk, so that a crash leaves it whole or absent. Everything can be rebuilt: what is foreign, damaged or of another
/// version is set aside and reported, and then as good as absent.
///
/// All methods may be called from any thread, and may wait for the disk: never on an event loop.
public final class ContentStore: Sendable {
    /// Options of a store.
    public struct Options: Sendable {
        /// A store without snapshots that is deleted soon: its root may lie in memory (tmpfs) or on an overlay.
        public var isScratch = false
        /// Stands for the running boot of the machine; `nil` asks the kernel. Tests play a crash of the machine with
        /// it.
        public var bootIdentifier: String?
        /// Told of everything that is set aside, on the thread that met it.
        public var report: @Sendable (QuarantinedFile) -> Void = { _ in }

        public init() {}
    }

    /// The directory that the store was opened on.
    public let root: String

    let boot: String
    let claim: StoreLock
    let shelf: Quarantine
    /// Open layers and chains. Weak: who uses one holds it, and the last one closes it.
    let layers = OpenObjects<StoredLayer>()
    let chains = OpenObjects<TreeImage>()

    /// Claims `root`, which is made when missing, checks its file system, and clears away what a crash left half made.
    ///
    /// - Throws: `.locked` when another process has it, `.unsuitableFileSystem`, `.readOnly`, `.noSpace`, `.io`; each
    ///   message names the path and what to do.
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

    /// Throws `.unsuitableFileSystem` when `root` can no longer be used: the check of the initialiser, again.
    public func verifyFileSystem(isScratch: Bool = false) throws(ContentStoreError) {
        try FileSystemCheck.run(root, isScratch: isScratch)
    }

    // MARK: Layers

    /// The layer of `blob`, opened once and shared; `nil` when there is no usable index for it.
    public func layer(_ blob: Digest) throws(ContentStoreError) -> StoredLayer? {
        try layers.value(blob) { () throws(ContentStoreError) in try openLayer(blob) }
    }

    /// Stores the index of `blob` with empty content, and opens it. When there is one already, that one is given and
    /// `index` is not looked at. Safe to call from several threads for the same blob, and against a crash at any
    /// point.
    ///
    /// - Parameter origin: a few bytes for whoever checks the index later; see ``origin(of:)``.
    /// - Throws: `.badIndex` when `index` is not of `blob` or cannot be read back; `.noSpace`, `.readOnly`, `.io`.
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

    /// Returns the result of `body` on `directory`; `nil` when it is absent or had to be quarantined.
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

    /// Runs `body`, in which damage means that we were given something bad.
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

    // MARK: Making things

    /// Makes a directory with `body`, and puts it at `target` in one step when it is whole and on the disk.
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
            // What cannot be removed now is removed at the next start.
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

    /// Makes every open layer durable (``StoredLayer/makeDurable()``). All are tried; the first failure is thrown.
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
