public import Base
public import Logging
public import Registry

/// A finder of streaming artifacts. It looks up an image's artifact by the digest of the image's manifest. The artifact
/// changes neither the image nor this digest. So Rivulet can also stream an image that a pod names by digest.
///
/// For one minute, the finder remembers that an image has no usable artifact. Pulls of such an image therefore cost at
/// most one lookup in that time.
public final class ArtifactFinder: Sendable {
    /// The time in nanoseconds for which the finder remembers that an image has no usable artifact.
    private static let remembersNoneFor: UInt64 = 60_000_000_000
    /// The maximum number of images without a usable artifact that the finder remembers.
    private static let maximumRemembered = 4096

    private struct Key: Hashable {
        let repository: Repository
        let manifest: Digest
    }

    private let registry: RegistryClient
    private let keys: ArtifactKeys?
    private let logger: Logger
    /// The images without a usable artifact, each with the time from which the finder asks the registry again.
    private let none = Guarded<[Key: MonotonicTime]>([:])

    /// - Parameter keys: the keys of trusted signers. The finder then returns only artifacts that one of them has
    ///   signed. `nil` accepts all artifacts.
    public init(registry: RegistryClient, keys: ArtifactKeys? = nil, logger: Logger) {
        self.registry = registry
        self.keys = keys
        self.logger = logger
    }

    /// Returns the artifact of the image; `nil` if the image has none that can be used. If the registry fails, this
    /// function also returns `nil`, so that containerd pulls the image as usual.
    ///
    /// - Parameters:
    ///   - manifest: the digest of the image's manifest.
    ///   - announced: receives the announced contents of the artifact before its manifest has arrived. A finder with
    ///     `keys` never calls it.
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
