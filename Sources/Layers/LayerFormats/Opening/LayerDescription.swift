public import Base

/// The facts about a layer that are known before a ``LayerOpener`` reads the layer's blob.
public struct LayerDescription: Sendable, Hashable {
    /// A reference to the layer's index (``LayerIndexBlob``) in the image's streaming artifact: an OCI artifact that
    /// makes the unchanged image streamable.
    public struct Index: Sendable, Hashable {
        /// The digest of the blob that contains the index.
        public var digest: Digest
        /// The SHA-256 of the layer's uncompressed archive.
        public var diffID: Digest
        /// The digest, and the size in bytes, of the blob from which the layer is read. This is either the layer's own
        /// blob or a copy in the streaming artifact.
        public var source: (digest: Digest, size: UInt64)
        /// The digest of the windows blob (``WindowsBlob``); `nil` if the index needs no windows. A window is the data
        /// that a decoder needs to start in the middle of a DEFLATE stream.
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

    /// The digest of the layer's blob.
    public var digest: Digest
    /// The blob's size in bytes; 0 if unknown.
    public var size: UInt64
    /// The media type of the layer's descriptor; empty if unknown.
    public var mediaType: String
    /// The annotations of the layer's descriptor in the manifest. If the image's tag has moved to a manifest without
    /// the layer, the labels of the layer's snapshot take their place.
    public var annotations: [String: String]
    /// The layer's index in the image's streaming artifact; `nil` if there is none.
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
