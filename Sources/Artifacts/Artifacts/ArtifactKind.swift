public import Registry

/// The kinds of artifacts that make an image streamable. Each artifact is a referrer of the image's manifest, and its
/// artifact type shows its kind (OCI distribution-spec 1.1, "Listing Referrers").
///
/// Nodes read only Rivulet's kind. To support another kind, add a type for the contents of its manifest, like
/// ``StreamingArtifact``, and make ``ArtifactFinder`` look for it. Then add a folder in `LayerFormats` with a reader of
/// that kind's layer descriptions.
public enum ArtifactKind: Sendable, CaseIterable {
    /// Rivulet's own kind.
    case rivulet
    /// A SOCI index (soci-snapshotter, docs/index.md) of version 1, which refers to an unmodified image. A SOCI index
    /// of version 2 is not a referrer: the image index that contains the image lists it.
    case soci
    /// The artifact that Azure Container Registry automatically makes from an image. It holds the image's layers as
    /// overlaybd devices.
    case overlaybd

    /// The artifact type that descriptors and manifests state.
    public var artifactType: String {
        switch self {
        case .rivulet: StreamingArtifact.artifactType
        case .soci: "application/vnd.amazon.soci.index.v1+json"
        case .overlaybd: "application/vnd.azure.artifact.streaming.v1"
        }
    }

    /// The name of the kind, for display to users.
    public var title: String {
        switch self {
        case .rivulet: "streaming artifact"
        case .soci: "SOCI index (not read)"
        case .overlaybd: "overlaybd artifact (not read)"
        }
    }

    /// Determines the kind of an artifact from its descriptor; `nil` if the kind is unknown.
    public init?(_ descriptor: Descriptor) {
        guard let kind = Self.allCases.first(where: { $0.artifactType == descriptor.artifactType }) else { return nil }
        self = kind
    }
}
