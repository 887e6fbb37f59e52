import Artifacts
import Base
import Registry

/// A conversion of one image. Its JSON encoding is part of the service's HTTP API.
public struct ConversionOperation: Codable, Sendable, Equatable {
    public enum State: String, Codable, Sendable, CaseIterable {
        case notStarted = "NotStarted"
        case running = "Running"
        case succeeded = "Succeeded"
        case failed = "Failed"
        case canceled = "Canceled"

        /// True if the operation has ended, successfully or not.
        public var isOver: Bool { self != .notStarted && self != .running }
    }

    /// The failure of an operation.
    public struct Failure: Codable, Sendable, Equatable {
        /// The error code, one of those in the conversion API of Azure Container Registry; see
        /// ``ConversionOperation/code(of:)``.
        public let code: String
        public let message: String
    }

    /// The ID of the operation, a UUID.
    public let id: String
    /// The repository's name, including the registry's host.
    public let repository: String
    /// The requested image reference, completed with the registry's host. A reference with neither a tag nor a digest
    /// gets the tag `latest`.
    public let image: String
    public internal(set) var state: State
    /// The progress in percent.
    public internal(set) var progress: Int
    /// The digests of the streaming artifacts, one for each platform. Empty until the operation succeeds.
    public internal(set) var artifacts: [String]
    public internal(set) var error: Failure?
    /// The time of creation, in seconds since 1970.
    public let created: Int64
    /// The time of the last change, in seconds since 1970.
    public internal(set) var changed: Int64

    /// Returns the code of an error for the API. The codes are those of Azure Container Registry's conversion API.
    static func code(of error: any Error) -> String {
        guard let error = error as? ArtifactError else {
            return (error as? RegistryError)?.code == .notFound ? "RESOURCE_NOT_FOUND" : "UNKNOWN_ERROR"
        }
        switch error.code {
        case .unsupportedMediaType: return "UNSUPPORTED_MEDIATYPE"
        case .noSupportedPlatform: return "NO_SUPPORTED_PLATFORM_FOUND"
        case .unsupportedArtifactType: return "UNSUPPORTED_ARTIFACT_TYPE"
        case .notRunnable: return "IMAGE_NOT_RUNNABLE"
        case .registry where (error.cause as? RegistryError)?.code == .notFound: return "RESOURCE_NOT_FOUND"
        case .registry, .invalid, .untrusted, .badLayer, .internal: return "UNKNOWN_ERROR"
        }
    }
}

/// The automatic conversion setting of a repository.
public struct RepositoryStreaming: Codable, Sendable, Equatable {
    /// The repository's name, including the registry's host.
    public let repository: String
    /// True if the service converts images that are pushed to the repository.
    public let streaming: Bool

    public init(repository: String, streaming: Bool) {
        self.repository = repository
        self.streaming = streaming
    }
}
