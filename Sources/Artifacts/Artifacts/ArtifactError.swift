public import Base
package import LayerFormats
package import Registry

/// An error about a streaming artifact, a key file, or a conversion. Its message says what failed and why.
public typealias ArtifactError = Failure<ArtifactErrorCode>

/// The kinds of ``ArtifactError``.
public enum ArtifactErrorCode: Hashable, Sendable {
    /// The manifest is not a streaming artifact, or contradicts itself or the image.
    case invalid
    /// None of the trusted keys has signed the artifact.
    case untrusted
    /// A layer is of a kind that cannot be streamed (UNSUPPORTED_MEDIATYPE in the conversion service).
    case unsupportedMediaType
    /// No entry of the image index has a platform that can be converted (NO_SUPPORTED_PLATFORM_FOUND).
    case noSupportedPlatform
    /// The manifest belongs to an artifact, not to an image (UNSUPPORTED_ARTIFACT_TYPE).
    case unsupportedArtifactType
    /// The image has no layers (IMAGE_NOT_RUNNABLE).
    case notRunnable
    /// A layer's bytes are not those that the image names, or are not an archive.
    case badLayer
    /// The registry failed; ``Failure/cause`` has the details.
    case registry
    /// A defect of Rivulet, or of the machine.
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
