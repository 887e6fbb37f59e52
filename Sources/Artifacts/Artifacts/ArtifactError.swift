public import Base
package import LayerFormats
package import Registry

/// An error about a streaming artifact, a key file, or a conversion. Its message says what failed and why.
public typealias ArtifactError = Failure<ArtifactErrorCode>

/// The kinds of ``ArtifactError``.
public enum ArtifactErrorCode: Hashable, Sendable {
    /// A manifest is malformed or does not match the image, or a key file is malformed.
    case invalid
    /// None of the trusted keys has signed the artifact.
    case untrusted
    /// A layer is of a kind that cannot be streamed. The conversion service reports this as UNSUPPORTED_MEDIATYPE.
    case unsupportedMediaType
    /// The image index lists no platform that can be converted. The conversion service reports this as
    /// NO_SUPPORTED_PLATFORM_FOUND.
    case noSupportedPlatform
    /// The manifest belongs to an artifact, not to an image. The conversion service reports this as
    /// UNSUPPORTED_ARTIFACT_TYPE.
    case unsupportedArtifactType
    /// The image has no layers. The conversion service reports this as IMAGE_NOT_RUNNABLE.
    case notRunnable
    /// A layer's bytes do not match their digest in the image, or are not a tar archive.
    case badLayer
    /// The registry failed; ``Failure/cause`` has the details.
    case registry
    /// A bug in Rivulet, or a problem of the local machine such as a full disk.
    case `internal`
}

extension ArtifactError {
    package init(registry error: RegistryError, _ what: String) {
        self.init(.registry, "\(what): \(error)", cause: error)
    }

    package init(layer error: LayerFormatError, _ what: String) {
        self.init(
            error.code == .unsupported || error.code == .limit ? .unsupportedMediaType : .badLayer,
            "\(what): \(error)", cause: error)
    }
}
