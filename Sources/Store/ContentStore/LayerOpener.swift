import Base
import LayerIndex
import Linux
import SystemPackage

/// Opens the four files of a layer, and decides what of them can be trusted.
struct LayerOpener {
    /// The reason why a layer's directory cannot be used: it is quarantined and rebuilt.
    struct Damage: Error {
        let reason: String
        /// Set when only content and presence are damaged and the index is good.
        var sparesIndex = false
    }

    /// The tree and the chunk table, with their fingerprint.
    struct Index {
        let tree: TreeImage
        let chunks: ChunkTable
        /// SHA-256 over both files.
        let fingerprint: Digest
    }

    let digest: Digest
    let directory: String
    let boot: String
    let shelf: Quarantine
    let claim: StoreLock

    private var treePath: String { directory + "/tree.erofs" }
    private var chunksPath: String { directory + "/chunks" }
    private var contentPath: String { directory + "/content" }
    private var presentPath: String { directory + "/present" }
    private var windowsPath: String { directory + "/windows" }

    // MARK: The index

    /// The tree and the chunk table.
    func index() throws -> Index {
        var hasher = DigestHasher()
        let chunks = try Self.readable(chunksPath, hashing: &hasher) { try ChunkTable(mapping: $0) }
        // The tree alone names the layer: what the chunk table names may be a copy of it.
        let tree = try Self.readable(treePath, hashing: &hasher) { try TreeImage(mapping: $0) }
        guard tree.deviceTags.allSatisfy({ $0 == digest }) else {
            throw Damage(reason: "\(treePath) is the tree of \(tree.deviceTags)")
        }
        return Index(tree: tree, chunks: chunks, fingerprint: hasher.finish())
    }

    /// Maps a file of ours and makes something of it. What is wrong with the file is `Damage`; what is wrong with the
    /// machine (memory, descriptors) is a `ContentStoreError`.
    static func readable<Value>(
        _ path: String, hashing hasher: inout DigestHasher, _ body: (MappedFile) throws -> Value
    ) throws -> Value {
        do {
            let file = try Sys.open(path, [.readOnly, .noFollow, .nonBlocking])
            // A bad sector under a mapping is a SIGBUS. Reading the file once by pread finds it here, as an error,
            // and a daemon that died of one heals itself at its next start.
            try readThrough(file.raw, &hasher)
            return try body(try MappedFile(descriptor: file.raw))
        } catch let error as LayerIndexError {
            throw Damage(reason: "\(path): \(error)")
        } catch let error as Errno {
            switch error {
            case .noSuchFileOrDirectory, .notDirectory, .isDirectory, .tooManySymbolicLinkLevels, .invalidArgument,
                .ioError, .noSuchAddressOrDevice:
                throw Damage(reason: "\(path): \(error)")
            default:
                throw ContentStoreError(errno: error, "cannot open \(path)")
            }
        }
    }

    private static func readThrough(_ descriptor: Int32, _ hasher: inout DigestHasher) throws(Errno) {
        guard try Sys.fstat(descriptor).kind == .regular else { throw .invalidArgument }
        let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
        defer { scratch.deallocate() }
        var offset: UInt64 = 0
        while true {
            let count = try Sys.pread(descriptor, into: scratch, at: offset)
            if count == 0 { return }
            hasher.update(UnsafeRawBufferPointer(rebasing: scratch.prefix(count)))
            offset += UInt64(count)
        }
    }

    // MARK: Content and presence

    /// Opens an installed layer. Files that cannot be trusted are removed, rebuilt and reported.
    func open() throws -> StoredLayer {
        let index = try index()
        do {
            return StoredLayer(try trusted(index))
        } catch let damage as Damage where damage.sparesIndex {
            try startOver(index, reason: damage.reason)
            do {
                return StoredLayer(try trusted(index))
            } catch let damage as Damage {
                // Made a moment ago: the disk does not keep what it is told.
                throw ContentStoreError(.io, "\(directory) cannot be used: \(damage.reason)")
            }
        }
    }

    /// Makes the content and presence files of a layer that has none yet, and waits for the disk.
    func create(_ index: Index) throws(ContentStoreError) {
        try ContentStoreError.wrapping("cannot make the content of \(digest)") { () throws(Errno) in
            let content = try Sys.open(contentPath, [.readWrite, .create, .exclusive, .noFollow])
            try Sys.ftruncate(content.raw, size: index.chunks.contentSize)
            try Sys.fsync(content.raw)
            let format = try format(index, content.raw)
            // Every block is written once here, so that marking a chunk later does not need a new one on a full disk.
            var bytes = format.header
            bytes.append(contentsOf: repeatElement(0, count: format.fileLength - bytes.count))
            let presence = try Sys.open(presentPath, [.writeOnly, .create, .exclusive, .noFollow])
            try Sys.pwriteAll(presence.raw, bytes, at: 0)
            try Sys.fsync(presence.raw)
        }
    }

    /// Removes and recreates both files: none of the content is trusted.
    private func startOver(_ index: Index, reason: String) throws(ContentStoreError) {
        // The presence file goes first: content without one is never trusted, whenever we are interrupted.
        try shelf.move(presentPath, reason: reason)
        let regular = (try? Sys.lstat(contentPath))?.kind == .regular
        if regular {
            try shelf.remove(contentPath, reason: reason)
        } else {
            try shelf.move(contentPath, reason: reason)
        }
        try create(index)
    }

    private func format(_ index: Index, _ content: Int32) throws(Errno) -> PresenceFormat {
        PresenceFormat(
            digest: digest, index: index.fingerprint, chunkCount: index.chunks.chunkCount,
            contentSize: index.chunks.contentSize,
            identity: ContentIdentity(inode: try Sys.fstat(content).inode, born: try Sys.birthTime(content)))
    }

    /// Opens a file of ours that must be regular, for reading and writing.
    private func openRegular(_ path: String) throws -> OwnedDescriptor {
        do {
            let file = try Sys.open(path, [.readWrite, .noFollow, .nonBlocking])
            guard try Sys.fstat(file.raw).kind == .regular else {
                throw Damage(reason: "\(path) is not a file", sparesIndex: true)
            }
            return file
        } catch let error as Errno {
            switch error {
            case .noSuchFileOrDirectory, .isDirectory, .tooManySymbolicLinkLevels, .ioError, .noSuchAddressOrDevice:
                throw Damage(reason: "\(path): \(error)", sparesIndex: true)
            default:
                throw ContentStoreError(errno: error, "cannot open \(path)")
            }
        }
    }

    private func trusted(_ index: Index) throws -> StoredLayer.Parts {
        let chunks = index.chunks
        let present = try openRegular(presentPath)
        let content = try openRegular(contentPath)
        do {
            let size = try Sys.fstat(content.raw).size
            guard size <= chunks.contentSize else {
                throw Damage(
                    reason: "\(contentPath) has \(size) bytes, not \(chunks.contentSize)", sparesIndex: true)
            }
            let format = try format(index, content.raw)
            guard try Sys.fstat(present.raw).size == UInt64(format.fileLength) else {
                throw Damage(reason: "\(presentPath): wrong length", sparesIndex: true)
            }
            switch format.match(try Sys.pread(present.raw, count: PresenceFormat.block, at: 0)) {
            case .same: break
            case .otherIndex: throw Damage(reason: "\(directory): tree or chunk table are not what they were")
            case .different(let how): throw Damage(reason: "\(presentPath): \(how)", sparesIndex: true)
            }

            let presence = PresenceFile(format: format, file: present)
            var loaded = try presence.load(boot: boot)
            if size < chunks.contentSize {
                // Every place first, the length last: see PresenceFile, point 5.
                Self.clear(StoredLayer.chunks(of: chunks, beyond: size), in: &loaded.words)
                try Sys.fdatasync(content.raw)
                try presence.retract(loaded.words, &loaded.slots)
                loaded.durable = loaded.words
                try Sys.ftruncate(content.raw, size: chunks.contentSize)
                try Sys.fsync(content.raw)
            }
            if !loaded.sameBoot { try presence.beginSession(boot: boot, words: loaded.words) }
            let isSaved = loaded.words == loaded.durable
            // A hole reads as zeros: nobody has to bring these, and nobody ever writes them.
            for chunk in 0..<chunks.chunkCount where chunks.chunk(chunk).isZeros {
                loaded.words[chunk >> 6] |= 1 << UInt64(chunk & 63)
            }
            chunks.releaseResidentPages()
            return StoredLayer.Parts(
                digest: digest, tree: index.tree, chunks: chunks, contentPath: contentPath, content: content,
                presence: presence, words: loaded.words, slots: loaded.slots, isSaved: isSaved,
                windows: try windows(chunks), gaps: gaps(chunks), claim: claim)
        } catch let error as Errno {
            // A presence file that cannot be read is as good as none.
            if error == .ioError || error == .noData {
                throw Damage(reason: "\(presentPath): \(error)", sparesIndex: true)
            }
            throw ContentStoreError(errno: error, "cannot open the content of \(digest)")
        }
    }

    private func windows(_ chunks: ChunkTable) throws(ContentStoreError) -> WindowsFile? {
        guard chunks.windows != nil else { return nil }
        if let file = try? WindowsFile(path: windowsPath) { return file }
        try shelf.move(windowsPath, reason: "\(windowsPath) is not a file")
        return try ContentStoreError.wrapping("cannot make \(windowsPath)") { () throws(Errno) in
            try WindowsFile(path: windowsPath)
        }
    }

    /// A log that cannot be opened is not written: what would be in it is fetched then.
    private func gaps(_ chunks: ChunkTable) -> TarSplitLog? {
        guard (try? Sys.exists(directory + "/origin")) == true else { return nil }
        return try? TarSplitLog(path: directory + "/gaps", extentCount: chunks.extentCount)
    }

    private static func clear(_ chunks: Range<Int>, in words: inout [UInt64]) {
        for chunk in chunks where chunk >> 6 < words.count {
            words[chunk >> 6] &= ~(1 << UInt64(chunk & 63))
        }
    }
}
