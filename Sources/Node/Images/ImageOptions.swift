public import Artifacts
public import LayerFormats

/// The options of image opening and mounting.
public struct ImageOptions: Sendable {
    /// The formats that layers may be in.
    public var formats = LayerFormatRegistry.standard
    /// True if a layer may be streamed although the manifest does not state the digest of its table of contents.
    public var allowsUnverifiedTOC = false
    /// True if the engine prefetches the chunks that the image's author marked, as soon as the image is open.
    public var prefetchesLandmarks = true
    /// True if the opener looks for a streaming artifact of each image with a layer that cannot be streamed without
    /// one.
    public var usesArtifacts = true
    /// The keys of trusted signers of streaming artifacts; `nil` trusts everyone who may push to the image's
    /// repository.
    public var artifactKeys: ArtifactKeys?
    /// True if the auditor compares each complete layer with its image, provided that a streaming artifact described
    /// the layer.
    public var auditsArtifacts = true
    /// The options for recording and replaying profiles.
    public var profiles = ProfilePolicy()
    /// True if the engine fetches the rest of each image while the link is otherwise idle.
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
