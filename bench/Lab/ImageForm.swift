/// The forms in which the same image is in the registry. The raw value is its tag.
public enum ImageForm: String, Sendable, CaseIterable, Codable {
    /// gzip layers, as any builder makes them.
    case plain
    case estargz
    /// The zstd:chunked of ctr-remote.
    case zstdChunked = "zstd-chunked"
    /// eStargz with the files first that the application reads until it is ready, as `ctr-remote images optimize` finds them.
    case estargzOptimised = "estargz-optimised"
    /// The plain one with its streaming artifact beside it.
    case artifact
    /// The same in a repository of its own, where the artifact has a startup pack of what a start is likely to read.
    case artifactPredicted = "artifact-predicted"
    /// The same where it is of what a start has read.
    case artifactPack = "artifact-pack"

    /// Whether it has a streaming artifact.
    var hasArtifact: Bool { self == .artifact || self == .artifactPredicted || self == .artifactPack }
}

/// How large an image is: as in real life, or of the same kind and quickly made.
public enum ImageEdition: String, Sendable, CaseIterable, Codable {
    case full
    case small
}
