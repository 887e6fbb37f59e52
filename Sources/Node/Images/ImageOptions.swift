public import Artifacts
import Glibc
public import LayerFormats

/// The options for opening and mounting images.
public struct ImageOptions: Sendable {
    /// The layer formats that can be streamed.
    public var formats = LayerFormatRegistry.standard
    /// True if a layer may be streamed although the image's manifest does not state the digest of the layer's table of
    /// contents.
    public var allowsUnverifiedTOC = false
    /// True if the streaming engine prefetches the chunks that the image's author marked with the eStargz prefetch
    /// landmark. The prefetch begins as soon as the image is open.
    public var prefetchesLandmarks = true
    /// True if the opener looks for a streaming artifact of each image with a layer that cannot be streamed without
    /// one.
    public var usesArtifacts = true
    /// The keys of trusted signers of streaming artifacts; `nil` trusts everyone who may push to the image's
    /// repository.
    public var artifactKeys: ArtifactKeys?
    /// True if every layer is verified: its archive is compared with its index, once the layer is complete or will not
    /// become complete.
    public var verifiesLayers = true
    /// The time between a layer's completion and its verification.
    public var verificationDelay = Duration.seconds(5)
    /// The hosts of the registries from which layers are streamed; `nil` allows all.
    public var registries: Set<String>?
    /// The snapshotter's name in containerd's configuration, `[proxy_plugins.<name>]`.
    public var snapshotterName = "rivulet"
    /// The maximum time for which the creation of a container waits until the layers of a disputed chain are verified.
    ///
    /// containerd holds its lock of the snapshotter during the wait. Once a garbage collection waits for this lock, all
    /// other calls of all containers wait, too. So the time is short: enough for some 100 MB of layers, which is most
    /// disputed images. The verification of larger ones continues, and kubelet tries again after 10 to 15 seconds.
    public var admissionPatience = Duration.seconds(4)
    /// The options for recording and replaying profiles.
    public var profiles = ProfilePolicy()
    /// True if the streaming engine fetches the rest of each mounted image in the background
    /// (``StreamingEngine/fill(_:)``).
    public var fillsInBackground = true
    /// The maximum number of layers of one image that are opened concurrently.
    public var layersAtOnce = 16
    /// The memory in bytes for everything that is being opened: tables of contents, indexes, and trees under
    /// construction. Work that needs more waits, and a layer that needs more than a half is declined.
    public var openingMemory = ImageOptions.defaultOpeningMemory
    /// The number of layers on the node whose indexes are built at the same time, one for each processor. There are at
    /// least two, so that a slow layer does not hold up all others.
    public var buildsAtOnce = max(2, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    /// The number of chains on the node whose trees are merged at the same time.
    public var mergesAtOnce = 2
    /// The maximum time for building the index of one layer. Half a million files take about a second.
    public var buildLimit = Duration.seconds(10)
    /// The maximum time for merging the trees of one chain.
    public var mergeLimit = Duration.seconds(60)
    /// The maximum time for reading one index, or a part of a blob with it. Meanwhile, other images wait for the
    /// memory.
    public var readLimit = Duration.seconds(60)
    /// The time that an opened image stays in memory, long enough for one pull.
    public var remembersFor = Duration.seconds(120)
    /// The time that an image with a failed or declined layer stays in memory. It is long enough for the other layers
    /// of the same pull, but too short for the next pull.
    public var remembersDeclinedFor = Duration.seconds(5)
    /// The time limit for optional look-ups: the artifact, a profile, and the configuration.
    public var optionalLookups = Duration.seconds(30)

    public init() {}

    /// The default of ``openingMemory``: a sixteenth of the node's memory, but at least 256 MiB and at most 1 GiB.
    public static var defaultOpeningMemory: UInt64 {
        let pages = UInt64(max(0, sysconf(Int32(_SC_PHYS_PAGES))))
        let node = pages.multipliedReportingOverflow(by: UInt64(max(0, sysconf(Int32(_SC_PAGESIZE))))).partialValue
        return min(max(node / 16, 256 << 20), 1 << 30)
    }
}
