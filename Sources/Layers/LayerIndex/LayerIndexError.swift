public import Base

/// An error in the entries from which an index is built, or in the bytes of an index.
public typealias LayerIndexError = Failure<LayerIndexErrorCode>

/// The kinds of ``LayerIndexError``.
public enum LayerIndexErrorCode: Hashable, Sendable {
    /// An invalid path: a NUL byte, an overlong name, a whiteout without a name, or too many symbolic links.
    case invalidPath
    /// An entry whose path leads through something that is not a directory.
    case notADirectory
    /// An inconsistent entry or extent: pieces that do not cover the file, an impossible time or device number, or an
    /// extent outside the blob.
    case invalidEntry
    /// A hard link that is part of a cycle, or whose target is missing, a directory or a whiteout.
    case badHardLink
    /// Content that one pass over the blob cannot read in order: interleaved files, or chunks or extents that overlap.
    case unordered
    /// A size or count that exceeds ``IndexLimits`` or the capacity of the file format.
    case limit
    /// Work that did not end by its deadline.
    case deadline
    /// An index of another writer or version.
    case foreign
    /// An index whose bytes contradict themselves or their checksum.
    case corrupt
}
