public import Base

/// The facts about a layer that are known before anything of its blob has been read.
public struct LayerDescription: Sendable, Hashable {
    /// The index that the image's streaming artifact has for the layer.
    public struct Index: Sendable, Hashable {
        /// The digest of the index's blob.
        public var digest: Digest
        /// The SHA-256 of the layer's archive.
        public var diffID: Digest
        /// The blob that the layer is read from, and its size: the layer's own, or a copy of it.
        public var source: (digest: Digest, size: UInt64)
        /// The blob with the windows that decoding begins with.
        public var windows: Digest?

        public init(digest: Digest, diffID: Digest, source: (digest: Digest, size: UInt64), windows: Digest?) {
            self.digest = digest
            self.diffID = diffID
            self.source = source
            self.windows = windows
        }

        public static func == (left: Self, right: Self) -> Bool {
            left.digest == right.digest && left.diffID == right.diffID && left.source == right.source
                && left.windows == right.windows
        }

        public func hash(into hasher: inout Hasher) {
            hasher.combine(digest)
            hasher.combine(diffID)
        }
    }

    /// The digest of the blob.
    public var digest: Digest
    /// The blob's size in bytes; 0 when unknown.
    public var size: UInt64
    /// The media type of the layer's descriptor; empty when unknown.
    public var mediaType: String
    /// The annotations of the layer's descriptor and the labels of its snapshot, in one.
    public var annotations: [String: String]
    /// The index in the image's streaming artifact, if there is one.
    public var index: Index?

    public init(
        digest: Digest, size: UInt64, mediaType: String, annotations: [String: String], index: Index? = nil
    ) {
        self.digest = digest
        self.size = size
        self.mediaType = mediaType
        self.annotations = annotations
        self.index = index
    }
}
