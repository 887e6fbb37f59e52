public import Base
public import Logging
public import Registry

/// A finder of the streaming artifact of an image, by the digest of the image's manifest. The image's own digest never
/// changes, so a pod that pins it streams, too.
///
/// The finder remembers for a while that an image has no artifact. Pulls of such an image therefore cost at most one
/// lookup in that time.
public final class ArtifactFinder: Sendable {
    /// The time in nanoseconds for which the finder remembers that an image has no artifact.
    private static let remembersNoneFor: UInt64 = 60_000_000_000
    /// The most images without an artifact that the finder remembers.
    private static let maximumRemembered = 4096

    private struct Key: Hashable {
        let repository: Repository
        let manifest: Digest
    }

    private let registry: RegistryClient
    private let keys: ArtifactKeys?
    private let logger: Logger
    /// The images without an artifact, each with the time until which the finder remembers this.
    private let none = Guarded<[Key: MonotonicTime]>([:])

    /// - Parameter keys: the keys of trusted signers. Only artifacts that one of them has signed are used; `nil`
    ///   accepts all.
    public init(registry: RegistryClient, keys: ArtifactKeys? = nil, logger: Logger) {
        self.registry = registry
        self.keys = keys
        self.logger = logger
    }

    /// Returns the artifact of the image; `nil` if it has none that can be used. A registry that fails counts as one
    /// without the artifact, so that containerd pulls the image as usual.
    ///
    /// - Parameter announced: receives the announced contents of the artifact before its manifest has arrived.
    public func artifact(
        _ repository: Repository, of manifest: Digest, announced: (ArtifactContents) -> Void = { _ in }
    ) async -> StreamingArtifact? {
        let key = Key(repository: repository, manifest: manifest)
        let now = MonotonicTime.now()
        guard none.withLock({ $0[key] ?? now }) <= now else { return nil }
        do throws(RegistryError) {
            let found = try await registry.artifact(
                repository, of: manifest, signedBy: keys,
                // If the node trusts only signed artifacts, an unsigned announcement must not cause requests.
                announced: keys == nil ? announced : { _ in }
            ) { error in
                logger.warning(
                    "a streaming artifact cannot be used",
                    metadata: ["repository": "\(repository)", "image": "\(manifest)", "error": "\(error)"])
            }
            if let found { return found.artifact }
        } catch {
            logger.info(
                "the registry cannot say whether an image has a streaming artifact",
                metadata: ["repository": "\(repository)", "image": "\(manifest)", "error": "\(error)"])
            return nil
        }
        none.withLock { none in
            if none.count >= Self.maximumRemembered { none = none.filter { $0.value > now } }
            if none.count >= Self.maximumRemembered { none = [:] }
            none[key] = now.advanced(by: Self.remembersNoneFor)
        }
        return nil
    }
}
