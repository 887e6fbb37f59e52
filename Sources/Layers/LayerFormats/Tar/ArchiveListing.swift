public import Base
public import LayerIndex

/// An entry of a layer's archive, and where in the archive it lies.
public struct ArchivedEntry: Sendable {
    /// Without pieces.
    public var entry: LayerEntry
    /// Its headers, those that stand before its own among them.
    public var header: ByteRange
    public var content: ByteRange
    /// The SHA-256 of its content, of a regular file.
    public var digest: Digest?
}

/// Lists what is in an ordinary layer while its blob passes by, and gives its archive.
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
    /// The end of the entry before, with its padding.
    private var end: UInt64 = 0

    /// - Parameter blobDigest: what the blob's bytes must come to.
    public init(blobDigest: Digest) {
        self.blobDigest = blobDigest
    }

    /// Takes the next bytes of the blob; `archive` is given those of the archive, good during the call only.
    public func push(
        _ bytes: UnsafeRawBufferPointer, _ archive: (UnsafeRawBufferPointer) throws(LayerFormatError) -> Void
    ) throws(LayerFormatError) {
        blobHasher.update(bytes)
        try decoder.push(bytes) { (made) throws(LayerFormatError) in
            try read(made)
            try archive(made)
        }
    }

    /// Ends the blob.
    ///
    /// - Returns: the entries, and the archive's SHA-256, by which an image's configuration names it.
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
