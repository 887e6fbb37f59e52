import Base
import LayerIndex
import Linux
import SystemPackage

/// The opener of a layer's files. It checks each file, and rejects or replaces a file that a crash or the disk damaged.
struct LayerOpener {
    /// The damage that makes the directory of a layer or chain unusable. Unless ``sparesIndex`` is true, the store
    /// quarantines the directory and treats the layer or chain as absent.
    struct Damage: Error {
        let reason: String
        /// True if the index is good and only the content or presence file is damaged. The opener then replaces these
        /// two files by empty ones, and opens the layer.
        var sparesIndex = false
    }

    /// The tree and the chunk table of a layer.
    struct Index {
        let tree: TreeImage
        let chunks: ChunkTable
        /// The SHA-256 of the chunk table's bytes followed by the tree's bytes.
        let fingerprint: Digest
    }

    let key: LayerKey
    let directory: String
    let boot: String
    let shelf: Quarantine
    let claim: StoreLock
    let space: CacheSpace
    let files: DescriptorBudget
    let unstored: UnstoredChunks

    private var digest: Digest { key.blob }
    private var treePath: String { directory + "/tree.erofs" }
    private var chunksPath: String { directory + "/chunks" }
    private var contentPath: String { directory + "/content" }
    private var presentPath: String { directory + "/present" }
    private var windowsPath: String { directory + "/windows" }

    // MARK: The index

    /// Opens the tree and the chunk table.
    func index() throws -> Index {
        var hasher = DigestHasher()
        let chunks = try Self.readable(chunksPath, hashing: &hasher) { try ChunkTable(mapping: $0) }
        // Only the tree names the layer. The chunk table may name a copy of the blob in a streaming artifact.
        let tree = try Self.readable(treePath, hashing: &hasher) { try TreeImage(mapping: $0) }
        guard tree.deviceTags.allSatisfy({ $0 == digest }) else {
            throw Damage(reason: "\(treePath) is the tree of \(tree.deviceTags)")
        }
        return Index(tree: tree, chunks: chunks, fingerprint: hasher.finish())
    }

    /// Maps one of the store's files, adds its bytes to `hasher`, and returns the result of `body` for the mapping.
    ///
    /// - Throws: `Damage` if the file is missing, unreadable or invalid; `ContentStoreError` for any other failure,
    ///   such as a lack of memory or file descriptors.
    static func readable<Value>(
        _ path: String, hashing hasher: inout DigestHasher, _ body: (MappedFile) throws -> Value
    ) throws -> Value {
        do {
            let file = try Sys.open(path, [.readOnly, .noFollow, .nonBlocking])
            // A bad sector under a mapping raises SIGBUS. Reading the whole file once with pread finds it here, as an
            // error. So a daemon that died of SIGBUS recovers at its next start.
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

    /// Opens an installed layer. If the content and presence files cannot be trusted, reports them, discards them, and
    /// creates empty files instead.
    ///
    /// - Throws: `Damage` if the tree or the chunk table is missing or damaged; `ContentStoreError` for any other
    ///   failure.
    func open() throws -> StoredLayer {
        let index = try index()
        do {
            return StoredLayer(try trusted(index))
        } catch let damage as Damage where damage.sparesIndex {
            try startOver(index, reason: damage.reason)
            do {
                return StoredLayer(try trusted(index))
            } catch let damage as Damage {
                // We created the files a moment ago, so the disk does not keep our writes.
                throw ContentStoreError(.io, "\(directory) cannot be used: \(damage.reason)")
            }
        }
    }

    /// Creates empty content and presence files for a layer, and waits until they are on the disk.
    func create(_ index: Index) throws(ContentStoreError) {
        try ContentStoreError.wrapping("cannot make the content of \(digest)") { () throws(Errno) in
            let content = try Sys.open(contentPath, [.readWrite, .create, .exclusive, .noFollow])
            try Sys.ftruncate(content.raw, size: index.chunks.contentSize)
            try Sys.fsync(content.raw)
            let format = try format(index, content.raw)
            // Write every block now, so that marking a chunk later needs no new block on a full disk.
            var bytes = format.header
            bytes.append(contentsOf: repeatElement(0, count: format.fileLength - bytes.count))
            let presence = try Sys.open(presentPath, [.writeOnly, .create, .exclusive, .noFollow])
            try Sys.pwriteAll(presence.raw, bytes, at: 0)
            try Sys.fsync(presence.raw)
        }
    }

    /// Removes or quarantines the content and presence files, and creates empty files instead.
    private func startOver(_ index: Index, reason: String) throws(ContentStoreError) {
        // Remove the presence file first: if the process dies here, content without a presence file is never trusted.
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

    /// Opens the content or presence file for reading and writing. Throws `Damage` if the file is missing, unreadable
    /// or not regular.
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

    /// Opens the content and presence files, and repairs a content file that was shortened. Throws `Damage` if the
    /// presence bits cannot be trusted for this content file.
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

            let presence = PresenceFile(
                format: format, file: try OnDemandFile(present, path: presentPath, budget: files))
            var loaded = try presence.load(boot: boot)
            if size < chunks.contentSize {
                // Clear the bits past the file's end in every copy, then restore the length: see PresenceFile, point 5.
                Self.clear(StoredLayer.chunks(of: chunks, beyond: size), in: &loaded.words)
                try Sys.fdatasync(content.raw)
                try presence.retract(loaded.words, &loaded.slots)
                loaded.durable = loaded.words
                try Sys.ftruncate(content.raw, size: chunks.contentSize)
                try Sys.fsync(content.raw)
            }
            if !loaded.sameBoot {
                try presence.beginSession(boot: boot, words: loaded.words)
                try Self.freeUntrusted(content.raw, chunks, presence, &loaded)
            }
            let isSaved = loaded.words == loaded.durable
            // Chunks of zeros are always present: a hole reads as zeros. Nobody fetches or writes them.
            for chunk in 0..<chunks.chunkCount where chunks.chunk(chunk).isZeros {
                loaded.words[chunk >> 6] |= 1 << UInt64(chunk & 63)
            }
            chunks.releaseResidentPages()
            let diffID = ContentStore.verifiedDiffID(in: directory)
            return StoredLayer.Parts(
                key: key, tree: index.tree, chunks: chunks, contentPath: contentPath,
                content: try OnDemandFile(content, path: contentPath, budget: files), presence: presence,
                words: loaded.words, slots: loaded.slots, isSaved: isSaved,
                windows: try windows(chunks), gaps: diffID == nil ? gaps(chunks) : nil, diffID: diffID,
                claim: claim, space: space, unstored: unstored)
        } catch let error as Errno {
            // Treat an unreadable presence file like a missing one.
            if error == .ioError || error == .noData {
                throw Damage(reason: "\(presentPath): \(error)", sparesIndex: true)
            }
            throw ContentStoreError(errno: error, "cannot open the content of \(digest)")
        }
    }

    /// Frees the space of chunks that are absent after a crash of the machine. Their bytes may be on the disk, but
    /// nothing trusts them, and nothing else would ever free them.
    private static func freeUntrusted(
        _ content: Int32, _ chunks: ChunkTable, _ presence: PresenceFile, _ loaded: inout PresenceFile.Loaded
    ) throws(Errno) {
        var absent: [Int] = []
        var present: UInt64 = 0
        for chunk in 0..<chunks.chunkCount {
            if chunk >> 6 < loaded.words.count, loaded.words[chunk >> 6] & 1 << UInt64(chunk & 63) != 0 {
                present += chunks.chunk(chunk).content.count + 2 * CacheSpace.block
            } else if !chunks.chunk(chunk).isZeros {
                absent.append(chunk)
            }
        }
        guard !absent.isEmpty, try Sys.fstat(content).allocatedBytes > present else { return }
        // An older slot may name some of them.
        try presence.writeBothSlots(loaded.words, &loaded.slots)
        for hole in chunks.holes(of: absent) { try Sys.punchHole(content, at: hole.offset, count: hole.count) }
    }

    private func windows(_ chunks: ChunkTable) throws(ContentStoreError) -> WindowsFile? {
        guard chunks.windows != nil else { return nil }
        if let file = try? WindowsFile(path: windowsPath, space: space, files: files) { return file }
        try shelf.move(windowsPath, reason: "\(windowsPath) is not a file")
        return try ContentStoreError.wrapping("cannot make \(windowsPath)") { () throws(Errno) in
            try WindowsFile(path: windowsPath, space: space, files: files)
        }
    }

    /// Opens the log of gaps, the decoded bytes outside all chunks. Returns `nil` if the log cannot be opened. The
    /// verification of the layer then fetches the whole blob from the registry.
    private func gaps(_ chunks: ChunkTable) -> TarSplitLog? {
        try? TarSplitLog(path: directory + "/gaps", extentCount: chunks.extentCount, space: space, files: files)
    }

    private static func clear(_ chunks: Range<Int>, in words: inout [UInt64]) {
        for chunk in chunks where chunk >> 6 < words.count {
            words[chunk >> 6] &= ~(1 << UInt64(chunk & 63))
        }
    }
}
