public import Base
import Registry

/// The announced contents of a streaming artifact: the digests of its layer indexes and of its startup pack. The
/// announcement is an annotation of the artifact in the registry's list of referrers. A node requests these contents
/// while the artifact's manifest is still in transit, which saves a round trip. Because the announcement is not
/// verified, the node uses only contents that the manifest also names.
///
/// The annotation has one item `layer/index` for each index, then at most one item `pack+size`. Spaces separate the
/// items. `layer`, `index` and `pack` are digests in hexadecimal, without their algorithm; `size` is in bytes.
public struct ArtifactContents: Sendable, Hashable {
    static let annotation = "io.rivulet.contents"
    /// The maximum number of indexes in the annotation. The limit keeps the annotation below 2 KiB, because the size of
    /// a list of referrers is limited. A node requests the other indexes only after the manifest has arrived.
    private static let maximumIndexes = 12

    /// The digests of the indexes that the annotation lists, each with the digest of its layer's blob. The annotation
    /// does not list an index whose bytes the manifest contains.
    public let indexes: [(layer: Digest, index: Digest)]
    /// The digest of the startup pack and its size in bytes; `nil` if the annotation announces none.
    public let pack: (digest: Digest, size: UInt64)?
    /// The text of the annotation.
    let text: String

    /// Creates the announcement of an artifact. Leaves out the indexes after the first ``maximumIndexes``.
    ///
    /// - Returns: `nil` if there is neither an index nor a pack.
    init?(indexes: [(layer: Digest, index: Digest)], pack: (digest: Digest, size: UInt64)?) {
        let indexes = indexes.prefix(Self.maximumIndexes).map { "\($0.layer.hex)/\($0.index.hex)" }
        let packs = pack.map { ["\($0.digest.hex)+\($0.size)"] } ?? []
        self.init(text: (indexes + packs).joined(separator: " "))
    }

    /// Parses the text of the annotation.
    ///
    /// - Returns: `nil` if `text` is malformed, is longer than 4096 bytes, or has more than ``maximumIndexes`` indexes
    ///   or more than one pack.
    public init?(text: String) {
        guard !text.isEmpty, text.utf8.count <= 4096 else { return nil }
        var indexes: [(layer: Digest, index: Digest)] = []
        var packs: [(digest: Digest, size: UInt64)] = []
        for item in text.split(separator: " ", omittingEmptySubsequences: false) {
            let layers = item.split(separator: "/", omittingEmptySubsequences: false)
            let sizes = item.split(separator: "+", omittingEmptySubsequences: false)
            if layers.count == 2, let layer = Digest("sha256:\(layers[0])"), let index = Digest("sha256:\(layers[1])") {
                indexes.append((layer, index))
            } else if sizes.count == 2, let digest = Digest("sha256:\(sizes[0])"), let size = UInt64(sizes[1]) {
                packs.append((digest, size))
            } else {
                return nil
            }
        }
        guard packs.count <= 1, indexes.count <= Self.maximumIndexes else { return nil }
        (self.indexes, self.pack, self.text) = (indexes, packs.first, text)
    }

    /// Reads the annotation of `descriptor`, an entry of a list of referrers; `nil` if there is no valid annotation.
    init?(_ descriptor: Descriptor) {
        guard let text = descriptor.annotations[Self.annotation] else { return nil }
        self.init(text: text)
    }

    public static func == (left: Self, right: Self) -> Bool { left.text == right.text }

    public func hash(into hasher: inout Hasher) { hasher.combine(text) }
}
