/// A format of layers that nodes and tools of others can stream, and that an image can be written in anew.
public enum ReencodedFormat: String, Sendable, CaseIterable {
    /// stargz-snapshotter's gzip format.
    case estargz
    /// Its zstd format, which is not that of podman.
    case zstdChunked = "zstd:chunked"

    /// What is added to the tag of an image that has no other name in this format.
    public var tagSuffix: String {
        switch self {
        case .estargz: "-esgz"
        case .zstdChunked: "-zstdchunked"
        }
    }
}
