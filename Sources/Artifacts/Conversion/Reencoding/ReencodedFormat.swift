/// A layer format that the converter can write, and that stargz-snapshotter and related tools can stream.
public enum ReencodedFormat: String, Sendable, CaseIterable {
    /// stargz-snapshotter's gzip format.
    case estargz
    /// stargz-snapshotter's zstd format, which differs from podman's.
    case zstdChunked = "zstd:chunked"

    /// The default suffix for the tag of an image in this format.
    public var tagSuffix: String {
        switch self {
        case .estargz: "-esgz"
        case .zstdChunked: "-zstdchunked"
        }
    }
}
