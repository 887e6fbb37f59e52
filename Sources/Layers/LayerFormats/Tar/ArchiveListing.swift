public import Base
public import LayerIndex

/// An entry of a layer's archive, and its position in the archive.
public struct ArchivedEntry: Sendable {
    /// The entry. Its ``LayerEntry/pieces`` are empty.
    public var entry: LayerEntry
    /// The range of the archive with the entry's header and the extension headers before it.
    public var header: ByteRange
    public var content: ByteRange
    /// The SHA-256 of a regular file's content; `nil` for any other entry.
    public var digest: Digest?
}

/// A streaming reader of a layer's blob. It decodes the blob, lists the entries of the tar archive in it, and passes
/// the archive's bytes to the caller. It refuses sparse files.
///
/// Not `Sendable`: it belongs to one thread at a time.
public final class ArchiveListing {
    private let blobDigest: Digest
    private let decoder = ArchiveDecoder()
    private var reader = TarReader()
    private var blobHasher = DigestHasher()
    private var diffHasher = DigestHasher()
    private var fileHasher = DigestHasher()
    private var entries: [ArchivedEntry] = []
    private var begun: (entry: LayerEntry, header: ByteRange)?
    /// The offset in the archive at which the previous entry ends, including its padding.
    private var end: UInt64 = 0

    /// - Parameter blobDigest: the expected digest of the blob's bytes.
    public init(blobDigest: Digest) {
        self.blobDigest = blobDigest
    }

    /// Reads the next bytes of the blob. `archive` receives the decoded bytes in pieces. A piece is valid only during
    /// the call of `archive` that receives it.
    public func push(
        _ bytes: UnsafeRawBufferPointer, _ archive: (UnsafeRawBufferPointer) throws(LayerFormatError) -> Void
    ) throws(LayerFormatError) {
        blobHasher.update(bytes)
        try decoder.push(bytes) { (made) throws(LayerFormatError) in
            try read(made)
            try archive(made)
        }
    }

    /// Completes the list after the blob's last byte was pushed. `archive` receives the remaining decoded bytes.
    ///
    /// - Returns: the entries, and the archive's SHA-256, which is the layer's diff ID in an image's configuration.
    /// - Throws: `badArchive` if the archive is incomplete, or if the blob does not have the expected digest.
    public func finish(
        _ archive: (UnsafeRawBufferPointer) throws(LayerFormatError) -> Void
    ) throws(LayerFormatError) -> (entries: [ArchivedEntry], diffID: Digest) {
        try decoder.finish { (made) throws(LayerFormatError) in
            try read(made)
            try archive(made)
        }
        guard blobHasher.finish() == blobDigest else {
            throw LayerFormatError(.badArchive, "the blob is not the one that its descriptor names, \(blobDigest)")
        }
        try reader.finish()
        return (entries, diffHasher.finish())
    }

    private func read(_ made: UnsafeRawBufferPointer) throws(LayerFormatError) {
        diffHasher.update(made)
        try reader.push(made) { (event, offset) throws(LayerFormatError) in
            switch event {
            case .entry(let entry, _):
                begun = (entry, ByteRange(offset: end, end: offset + TarLayout.block))
                fileHasher = DigestHasher()
            case .content(let bytes): fileHasher.update(bytes)
            case .hole:
                throw LayerFormatError(
                    .unsupported,
                    "\(LayerFormatError.printable(begun?.entry.path ?? [])): a sparse file cannot be converted to a format "
                        + "with a table of contents; pack the layer without tar's --sparse (-S)")
            case .end:
                guard let (entry, header) = begun else { return }
                begun = nil
                entries.append(
                    ArchivedEntry(
                        entry: entry, header: header, content: ByteRange(offset: header.end, end: offset),
                        digest: entry.kind == .regular ? fileHasher.finish() : nil))
                end = TarLayout.padded(offset)
            }
        }
    }
}

/// The block layout of an archive (POSIX.1-2017, pax, "ustar Interchange Format").
enum TarLayout {
    static let block: UInt64 = 512

    static func padded(_ size: UInt64) -> UInt64 { (size + block - 1) / block * block }
}
