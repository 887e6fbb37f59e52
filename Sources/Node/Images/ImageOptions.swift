public import Artifacts
public import LayerFormats

/// The options of image opening and mounting.
public struct ImageOptions: Sendable {
    /// The formats that layers may be in.
    public var formats = LayerFormatRegistry.standard
    /// Streams layers whose manifest names no digest of the table of contents.
    public var allowsUnverifiedTOC = false
    /// Prefetches the chunks that the image's author marked, as soon as the image is open.
    public var prefetchesLandmarks = true
    /// Looks for the streaming artifact of an image whose layers cannot be streamed as they are.
    public var usesArtifacts = true
    /// The keys whose artifacts are trusted; `nil` trusts everybody who may push to the image's repository.
    public var artifactKeys: ArtifactKeys?
    /// Compares complete layers that were streamed through an artifact with their image.
    public var auditsArtifacts = true
    /// The recording and replay of profiles.
    public var profiles = ProfilePolicy()
    /// Fetches the rest of each image while nothing else needs the link.
    public var fillsInBackground = true
    /// The most layers of one image that are opened side by side.
    public var layersAtOnce = 16
    /// The life of an opened image in memory: long enough for one pull.
    public var remembersFor = Duration.seconds(120)
    /// The life of a declined image in memory: long enough for the other layers of the pull, not for the next one.
    public var remembersDeclinedFor = Duration.seconds(5)
    /// The limit for look-ups that an image can do without: its artifact, a profile, the configuration.
    public var optionalLookups = Duration.seconds(30)

    public init() {}
}
