public import Registry

/// The kinds of artifacts that make an image streamable. Each is found by its artifact type among the referrers of the
/// image's manifest (OCI distribution-spec 1.1, "Listing Referrers").
///
/// Nodes read only Rivulet's kind. To support another kind, add a type for the contents of its manifest, like
/// ``StreamingArtifact``, and make ``ArtifactFinder`` look for it. Then add a folder in `LayerFormats` for its
/// description of a layer.
public enum ArtifactKind: Sendable, CaseIterable {
    /// Rivulet's own kind.
    case rivulet
    /// A SOCI index (soci-snapshotter, docs/index.md) of version 1, which refers to an unmodified image. Version 2 is
    /// found through the image index that contains the image.
    case soci
    /// The artifact that Azure Container Registry makes of an image on its own: the image's layers as overlaybd
    /// devices.
    case overlaybd

    /// The artifact type in descriptors and manifests.
    public var artifactType: String {
        switch self {
        case .rivulet: StreamingArtifact.artifactType
        case .soci: "application/vnd.amazon.soci.index.v1+json"
        case .overlaybd: "application/vnd.azure.artifact.streaming.v1"
        }
    }

    /// The name for users.
    public var title: String {
        switch self {
        case .rivulet: "streaming artifact"
        case .soci: "SOCI index (not read)"
        case .overlaybd: "overlaybd artifact (not read)"
        }
    }

    /// Determines the kind of artifact from its descriptor; `nil` if it is of no known kind.
    public init?(_ descriptor: Descriptor) {
        guard let kind = Self.allCases.first(where: { $0.artifactType == descriptor.artifactType }) else { return nil }
        self = kind
    }
}
