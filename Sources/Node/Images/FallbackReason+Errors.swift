import Base
import LayerFormats
import Registry

extension FallbackReason {
    /// Creates the reason for an error while reading a layer's blob or creating the layer index from it.
    init(_ error: LayerFormatError) {
        let code: Code =
            switch error.code {
            case .otherFormat, .unsupported: .notStreamable
            case .unverified: .unverified
            case .limit, .deadline: .limit
            case .outOfMemory: .busy
            default: .badIndex
            }
        self.init(code, "\(error)")
    }

    /// Creates the reason for an error of a request to the registry.
    init(registry error: any Error) {
        guard let error = error as? RegistryError else {
            self.init(error is CancellationError ? .timeout : .registry, "\(error)")
            return
        }
        let code: Code =
            switch error.code {
            case .notFound: .notFound
            case .unauthorized, .credentials: .unauthorized
            case .invalidReference: .badLabel
            case .invalidManifest, .unsupportedManifest, .noMatchingPlatform: .notStreamable
            case .digestMismatch: .imageMismatch
            case .tooLarge: .limit
            case .timedOut: .timeout
            default: .registry
            }
        self.init(code, "\(error)")
    }
}
