public import Artifacts

/// The options of the conversion service.
public struct ConversionOptions: Sendable {
    /// The registry's host, as it appears in image references.
    public var registry: String
    /// The interval between polls of the tags in repositories with automatic conversion. Polling finds pushes for which
    /// no notification arrived.
    public var pollInterval: Duration = .seconds(300)
    /// The signer of the streaming artifacts; `nil` for unsigned artifacts.
    public var signer: ArtifactSigner?
    /// True if the service builds startup packs from the profiles that nodes report.
    public var acceptsProfiles = false
    /// The minimum time between two startup packs of the same image.
    public var packInterval: Duration = .seconds(3600)

    public init(registry: String) {
        self.registry = registry
    }
}
