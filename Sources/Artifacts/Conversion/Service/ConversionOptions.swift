public import Artifacts

public struct ConversionOptions: Sendable {
    /// The registry's host, as in references.
    public var registry: String
    /// The interval between polls of enabled repositories' tags, for pushes without a notification.
    public var pollInterval: Duration = .seconds(300)
    public var signer: ArtifactSigner?
    /// Build startup packs from nodes' reports.
    public var acceptsProfiles = false
    /// The least time between two packs of an image.
    public var packInterval: Duration = .seconds(3600)

    public init(registry: String) {
        self.registry = registry
    }
}
