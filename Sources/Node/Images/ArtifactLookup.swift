import Artifacts
import Base
import Registry
import Streaming

/// The streaming artifact of one image: looked for when the first layer needs it or somebody asks for it early, once for all of them.
final class ArtifactLookup: Sendable {
    /// What is asked for before the artifact is here, because it was announced.
    private struct Early {
        /// A larger index is asked for when it is known to be one: nobody vouches for what is announced.
        static let maximumIndex = 2 << 20

        var indexes: [Digest: Task<[UInt8], any Error>] = [:]
        var pack: Task<PackRequest?, Never>?
    }

    private let looking = Guarded<Task<StreamingArtifact?, Never>?>(nil)
    private let early = Guarded(Early())
    private let find: @Sendable (ArtifactLookup) async -> StreamingArtifact?

    /// - Parameter find: looks for it; it may have announced contents asked for by ``ask(for:in:_:wantsPack:isMissing:)``.
    init(_ find: @escaping @Sendable (ArtifactLookup) async -> StreamingArtifact?) {
        self.find = find
    }

    /// What it has for the layer whose blob is `digest`; `nil` when that is nothing, or there is no artifact.
    func layer(_ digest: Digest) async -> StreamingArtifact.Layer? {
        await value?.layer(digest)
    }

    /// All of it; `nil` when there is none.
    var value: StreamingArtifact? {
        get async { await look().value }
    }

    /// Begins to look for it.
    func begin() {
        _ = look()
    }

    private func look() -> Task<StreamingArtifact?, Never> {
        looking.withLock { looking in
            if let looking { return looking }
            let task = Task {
                let found = await self.find(self)
                self.keepEarly(of: found)
                return found
            }
            looking = task
            return task
        }
    }

    /// Whether one was needed, and is there.
    var isFound: Bool {
        get async { await looking.withLock { $0 }?.value != nil }
    }

    // MARK: - Before it is here

    /// Asks for what it says that it holds.
    ///
    /// - Parameters:
    ///   - wantsPack: whether a startup pack would be of use.
    ///   - isMissing: whether the layer is not here. When none is, nothing is asked for.
    func ask(
        for contents: ArtifactContents, in repository: Repository, _ registry: RegistryClient,
        wantsPack: @escaping @Sendable () async -> Bool,
        isMissing: @escaping @Sendable (Digest) async -> Bool
    ) {
        let missing = Task {
            var missing: Set<Digest> = []
            for (layer, _) in contents.indexes where await isMissing(layer) { missing.insert(layer) }
            return missing
        }
        early.withLock { early in
            for (layer, index) in contents.indexes where early.indexes[index] == nil {
                early.indexes[index] = Task {
                    guard await missing.value.contains(layer) else { throw CancellationError() }
                    return try await registry.blob(
                        BlobLocation(repository: repository, digest: index), maximumSize: Early.maximumIndex)
                }
            }
            guard let pack = contents.pack else { return }
            early.pack = Task {
                guard await wantsPack() else { return nil }
                if !contents.indexes.isEmpty, await missing.value.isEmpty { return nil }
                return PackRequest(
                    BlobLocation(repository: repository, digest: pack.digest), size: pack.size, from: registry)
            }
        }
    }

    /// Lets go of what the artifact does not hold after all.
    private func keepEarly(of artifact: StreamingArtifact?) {
        let indexes = Set(artifact?.layers.map(\.index.digest) ?? [])
        early.withLock { early in
            for (digest, task) in early.indexes where !indexes.contains(digest) {
                task.cancel()
                early.indexes[digest] = nil
            }
            // A request that nobody took is cancelled.
            early.pack = nil
        }
    }

    /// The index of a layer, if it was asked for early, and has come.
    func index(_ digest: Digest) async -> [UInt8]? {
        guard let task = early.withLock({ $0.indexes.removeValue(forKey: digest) }) else { return nil }
        return try? await task.value
    }

    /// Returns the request for the startup pack, if it was sent early.
    func pack(_ location: BlobLocation, size: UInt64) async -> PackRequest? {
        let task = early.withLock { early in
            defer { early.pack = nil }
            return early.pack
        }
        guard let request = await task?.value, request.location == location, request.size == size else { return nil }
        return request
    }
}
