public import Base
package import LayerFormats
package import Registry

/// What can go wrong with a streaming artifact. The message names the image and what to do.
public typealias ArtifactError = Failure<ArtifactErrorCode>

/// The kinds of ``ArtifactError``.
public enum ArtifactErrorCode: Hashable, Sendable {
    /// It is not a streaming artifact, or contradicts itself or the image.
    case invalid
    /// None of the keys that are trusted has signed it.
    case untrusted
    /// A layer is of a kind that cannot be streamed (the product's UNSUPPORTED_MEDIATYPE).
    case unsupportedMediaType
    /// Nothing in the index is for a platform that can be converted (NO_SUPPORTED_PLATFORM_FOUND).
    case noSupportedPlatform
    /// It is no image but an artifact (UNSUPPORTED_ARTIFACT_TYPE).
    case unsupportedArtifactType
    /// It has no layers (IMAGE_NOT_RUNNABLE).
    case notRunnable
    /// A layer's bytes are not what the image says, or are no archive.
    case badLayer
    /// The registry failed; ``Failure/cause`` says how.
    case registry
    /// A defect of ours, or of the machine.
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
