public import Artifacts

public struct ConversionOptions: Sendable {
    /// The registry's host, as in image references.
    public var registry: String
    /// The interval between polls of enabled repositories' tags, for pushes without a notification.
    public var pollInterval: Duration = .seconds(300)
    public var signer: ArtifactSigner?
    /// True if the service builds startup packs from the profiles that nodes report.
    public var acceptsProfiles = false
    /// The minimum time between two packs of the same image.
    public var packInterval: Duration = .seconds(3600)

    public init(registry: String) {
        self.registry = registry
    }
}
