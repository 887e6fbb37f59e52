public import Base
import Registry

/// What a list of referrers says that an artifact holds, in an annotation of it: it is asked for while the artifact's manifest still
/// comes, which saves a round trip. Nobody vouches for it; what it names is used only when the manifest names the same.
///
/// `layer/index …` and `pack+size`, digests in hexadecimal without their algorithm, separated by spaces.
public struct ArtifactContents: Sendable, Hashable {
    static let annotation = "io.rivulet.contents"
    /// What is behind is not asked for early. It also keeps the annotation below 2 KiB: lists of referrers are of bounded size.
    private static let maximumIndexes = 12

    /// Layers whose indexes are not in the manifest itself, and these.
    public let indexes: [(layer: Digest, index: Digest)]
    /// The startup pack, and its size in bytes.
    public let pack: (digest: Digest, size: UInt64)?
    /// As it is written.
    let text: String

    /// - Returns: `nil` when there is nothing to say.
    init?(indexes: [(layer: Digest, index: Digest)], pack: (digest: Digest, size: UInt64)?) {
        let indexes = indexes.prefix(Self.maximumIndexes).map { "\($0.layer.hex)/\($0.index.hex)" }
        let packs = pack.map { ["\($0.digest.hex)+\($0.size)"] } ?? []
        self.init(text: (indexes + packs).joined(separator: " "))
    }

    /// - Returns: `nil` when `text` is something else.
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

    /// What a list of referrers says of `descriptor`.
    init?(_ descriptor: Descriptor) {
        guard let text = descriptor.annotations[Self.annotation] else { return nil }
        self.init(text: text)
    }

    public static func == (left: Self, right: Self) -> Bool { left.text == right.text }

    public func hash(into hasher: inout Hasher) { hasher.combine(text) }
}
