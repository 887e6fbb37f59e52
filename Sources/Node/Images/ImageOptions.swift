public import Artifacts
public import LayerFormats

/// The options of image opening and mounting.
public struct ImageOptions: Sendable {
    /// The formats that layers may be in.
    public var formats = LayerFormatRegistry.standard
    /// True if layers may be streamed whose manifest does not state the digest of the table of contents.
    public var allowsUnverifiedTOC = false
    /// True if the chunks that the image's author marked are prefetched as soon as the image is open.
    public var prefetchesLandmarks = true
    /// True if the opener looks for the streaming artifact of an image whose layers cannot be streamed without one.
    public var usesArtifacts = true
    /// The keys whose artifacts are trusted; `nil` trusts everyone who may push to the image's repository.
    public var artifactKeys: ArtifactKeys?
    /// True if complete layers that were streamed through an artifact are compared with their image.
    public var auditsArtifacts = true
    /// The options for recording and replaying profiles.
    public var profiles = ProfilePolicy()
    /// True if the rest of each image is fetched while the link is otherwise idle.
    public var fillsInBackground = true
    /// The most layers of one image that are opened concurrently.
    public var layersAtOnce = 16
    /// The time that an opened image stays in memory, long enough for one pull.
    public var remembersFor = Duration.seconds(120)
    /// The time that a declined image stays in memory: long enough for the other layers of the pull, but not for the
    /// next.
    public var remembersDeclinedFor = Duration.seconds(5)
    /// The time limit for optional look-ups: the artifact, a profile, and the configuration.
    public var optionalLookups = Duration.seconds(30)

    public init() {}
}
