/// The forms of an image in the registry. The raw value is its tag.
public enum ImageForm: String, Sendable, CaseIterable, Codable {
    /// gzip layers, as from any builder.
    case plain
    case estargz
    /// The zstd:chunked of ctr-remote.
    case zstdChunked = "zstd-chunked"
    /// eStargz with the files of the start first, as `ctr-remote images optimize` determines them.
    case estargzOptimised = "estargz-optimised"
    /// The plain form with its streaming artifact.
    case artifact
    /// The same in a separate repository, where the artifact has a predicted startup pack.
    case artifactPredicted = "artifact-predicted"
    /// The same, where the startup pack has the recorded reads of a start.
    case artifactPack = "artifact-pack"

    /// True if it has a streaming artifact.
    var hasArtifact: Bool { self == .artifact || self == .artifactPredicted || self == .artifactPack }
}

/// The size of an image: realistic, or small and quickly built.
public enum ImageEdition: String, Sendable, CaseIterable, Codable {
    case full
    case small
}
