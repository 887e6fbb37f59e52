/// The media types of images (OCI image-spec media-types.md, Docker image manifest version 2 schema 2).
public enum MediaType {
    public static let ociManifest = "application/vnd.oci.image.manifest.v1+json"
    public static let ociIndex = "application/vnd.oci.image.index.v1+json"
    /// The type of a blob with the two bytes `{}`. A manifest without a configuration names this blob instead (OCI
    /// image-spec 1.1, "Guidance for an Empty Descriptor").
    public static let ociEmpty = "application/vnd.oci.empty.v1+json"
    public static let ociConfig = "application/vnd.oci.image.config.v1+json"
    public static let ociLayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip"
    public static let ociLayerZstd = "application/vnd.oci.image.layer.v1.tar+zstd"
    public static let dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
    public static let dockerIndex = "application/vnd.docker.distribution.manifest.list.v2+json"
    public static let dockerConfig = "application/vnd.docker.container.image.v1+json"

    /// The media types that the client accepts in response to a request for a manifest.
    static let acceptedManifests = [ociManifest, ociIndex, dockerManifest, dockerIndex]

    static func isIndex(_ type: String) -> Bool { type == ociIndex || type == dockerIndex }
    static func isManifest(_ type: String) -> Bool { type == ociManifest || type == dockerManifest }
}

/// The format of a layer's blob: a tar archive and its compression, or the reason why Rivulet does not stream the
/// layer.
public enum LayerPacking: Sendable, Hashable {
    case tar
    case gzip
    case zstd
    /// The layer is stored outside the registry (`urls`), or is not distributable. It is not streamed.
    case foreign
    /// The layer is encrypted (ocicrypt's `+encrypted`). It is not streamed.
    case encrypted
    /// The blob is not a file system layer, or has an unsupported type. It is not streamed.
    case unknown

    /// - Parameter mediaType: a layer descriptor's media type, without parameters.
    public init(mediaType: String) {
        let parts = mediaType.split(separator: "+", omittingEmptySubsequences: false)
        guard let base = parts.first else {
            self = .unknown
            return
        }
        let suffixes = parts.dropFirst()
        if suffixes.contains("encrypted") {
            self = .encrypted
            return
        }
        switch base {
        case "application/vnd.oci.image.layer.v1.tar":
            self = Self(compression: suffixes)
        case "application/vnd.oci.image.layer.nondistributable.v1.tar",
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "application/vnd.docker.image.rootfs.foreign.diff.tar":
            self = .foreign
        case "application/vnd.docker.image.rootfs.diff.tar.gzip": self = .gzip
        case "application/vnd.docker.image.rootfs.diff.tar.zstd": self = .zstd
        case "application/vnd.docker.image.rootfs.diff.tar": self = .tar
        default: self = .unknown
        }
    }

    private init(compression: ArraySlice<Substring>) {
        switch Array(compression) {
        case []: self = .tar
        case ["gzip"]: self = .gzip
        case ["zstd"]: self = .zstd
        default: self = .unknown
        }
    }
}
