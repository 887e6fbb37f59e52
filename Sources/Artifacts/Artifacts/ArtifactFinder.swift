public import Base
public import Logging
public import Registry

/// Finds the streaming artifact of an image by the digest of its manifest: the image's own digest never changes, so that a pod
/// that pins it streams too.
///
/// That there is none is remembered for a while, so that an image without one costs its pulls one question in a while.
public final class ArtifactFinder: Sendable {
    /// How long it is remembered that an image has none, in nanoseconds.
    private static let remembersNoneFor: UInt64 = 60_000_000_000
    /// Images of which it is remembered.
    private static let maximumRemembered = 4096

    private struct Key: Hashable {
        let repository: Repository
        let manifest: Digest
    }

    private let registry: RegistryClient
    private let keys: ArtifactKeys?
    private let logger: Logger
    private let none = Guarded<[Key: MonotonicTime]>([:])

    /// - Parameter keys: only what one of them has signed is taken; `nil` for whatever the registry has.
    public init(registry: RegistryClient, keys: ArtifactKeys? = nil, logger: Logger) {
        self.registry = registry
        self.keys = keys
        self.logger = logger
    }

    /// The artifact of the image; `nil` when it has none that can be used. A registry that fails is as one without: the image is
    /// then pulled as ever.
    ///
    /// - Parameter announced: given what it says that it holds, before it is here.
    public func artifact(
        _ repository: Repository, of manifest: Digest, announced: (ArtifactContents) -> Void = { _ in }
    ) async -> StreamingArtifact? {
        let key = Key(repository: repository, manifest: manifest)
        let now = MonotonicTime.now()
        guard none.withLock({ $0[key] ?? now }) <= now else { return nil }
        do throws(RegistryError) {
            let found = try await registry.artifact(
                repository, of: manifest, signedBy: keys,
                // Where only what is signed is believed, nothing else causes requests.
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
