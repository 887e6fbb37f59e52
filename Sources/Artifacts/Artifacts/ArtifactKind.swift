public import Registry

/// The kinds of artifacts that make an image streamable, each found by its artifact type among what refers to the image's manifest
/// (OCI distribution-spec 1.1, "Listing Referrers").
///
/// Nodes read ours. Another kind that they are to read gets a type for what its manifest says, as ``StreamingArtifact`` is for
/// ours, which ``ArtifactFinder`` then looks for too, and a folder in `LayerFormats` for what it has of a layer.
public enum ArtifactKind: Sendable, CaseIterable {
    /// Ours.
    case rivulet
    /// An index of SOCI (soci-snapshotter, docs/index.md), version 1: of an unmodified image. Version 2 is found through the
    /// index that the image is in.
    case soci
    /// What Azure Container Registry makes of an image by itself: its layers as overlaybd devices.
    case overlaybd

    /// In descriptors and manifests.
    public var artifactType: String {
        switch self {
        case .rivulet: StreamingArtifact.artifactType
        case .soci: "application/vnd.amazon.soci.index.v1+json"
        case .overlaybd: "application/vnd.azure.artifact.streaming.v1"
        }
    }

    /// For a person.
    public var title: String {
        switch self {
        case .rivulet: "streaming artifact"
        case .soci: "SOCI index (not read)"
        case .overlaybd: "overlaybd artifact (not read)"
        }
    }

    /// What a descriptor says that it is of; `nil` when it is something else.
    public init?(_ descriptor: Descriptor) {
        guard let kind = Self.allCases.first(where: { $0.artifactType == descriptor.artifactType }) else { return nil }
        self = kind
    }
}
