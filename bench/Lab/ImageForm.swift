/// The forms of an image in the registry. The raw value is the form's tag.
public enum ImageForm: String, Sendable, CaseIterable, Codable {
    /// The form with gzip layers, as from any builder.
    case plain
    case estargz
    /// The zstd:chunked form that ctr-remote creates.
    case zstdChunked = "zstd-chunked"
    /// The eStargz form in which the files of the start come first, as `ctr-remote images optimize` determines them.
    case estargzOptimised = "estargz-optimised"
    /// The plain form with its streaming artifact.
    case artifact
    /// The plain form in a separate repository, where its artifact has a predicted startup pack.
    case artifactPredicted = "artifact-predicted"
    /// The plain form in a separate repository, where its artifact has a startup pack of a recorded start.
    case artifactPack = "artifact-pack"

    /// True if the form has a streaming artifact.
    var hasArtifact: Bool { self == .artifact || self == .artifactPredicted || self == .artifactPack }
}

/// The size of an image: realistic, or small and quick to build.
public enum ImageEdition: String, Sendable, CaseIterable, Codable {
    case full
    case small
}
