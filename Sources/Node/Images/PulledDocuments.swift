import Base
import Concurrency
import Registry

/// A cache of manifests and configurations that containerd has. containerd is asked for the same documents when an
/// image is opened, and whenever a container is created from it.
final class PulledDocuments: Sendable {
    private static let capacity = 256

    private let manifests = Guarded(BoundedCache<Digest, Manifest>(capacity: capacity))
    private let configurations = Guarded(BoundedCache<Digest, ImageConfiguration>(capacity: capacity))

    /// Returns the manifest with this digest. If it is unknown, decodes the bytes that `read` returns; `nil` if they
    /// are not a manifest of an image, or if `read` returns `nil`.
    func manifest<Failure: Error>(
        _ digest: Digest, _ read: () async throws(Failure) -> [UInt8]?
    ) async throws(Failure) -> Manifest? {
        if let known = manifests.withLock({ $0[digest] }) { return known }
        guard let bytes = try await read(),
            case .image(let manifest)? = try? ManifestDocument(bytes: bytes, digest: digest, contentType: nil)
        else { return nil }
        manifests.withLock { $0[digest] = manifest }
        return manifest
    }

    /// Returns the configuration with this digest. If it is unknown, decodes the bytes that `read` returns; `nil` if
    /// they are not a configuration, or if `read` returns `nil`.
    func configuration<Failure: Error>(
        _ digest: Digest, _ read: () async throws(Failure) -> [UInt8]?
    ) async throws(Failure) -> ImageConfiguration? {
        if let known = configurations.withLock({ $0[digest] }) { return known }
        guard let bytes = try await read(), let configuration = try? ImageConfiguration(bytes: bytes) else {
            return nil
        }
        configurations.withLock { $0[digest] = configuration }
        return configuration
    }
}
