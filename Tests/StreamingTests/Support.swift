import Base
import ContentStore
import LazyFileSystem
import LazyFixtures
import Linux
import Logging
import Planner
import Registry
import Streaming
import TestRegistry
import TestSupport
import Testing

/// A registry, a store, and an engine that connects them.
struct Bench {
    let registry: TestRegistry
    let client: RegistryClient
    let store: ContentStore
    let engine: StreamingEngine

    /// Adds the layer to the registry and the store, and attaches it.
    func attach(_ fixture: LayerFixture, at locations: [BlobLocation]? = nil) throws -> StoredLayer {
        registry.addBlob(fixture.blob)
        let layer = try store.install(fixture.key, index: fixture.index())
        engine.attach(layer, locations: locations ?? [registry.location(fixture.digest)])
        return layer
    }

    /// Returns the requested ranges of the blob, in order.
    func ranges(_ digest: Digest) -> [ByteRange] {
        registry.requests(.blob).filter { $0.path.hasSuffix(digest.description) }.compactMap { request in
            let ends = request.range?.dropFirst("bytes=".count).split(separator: "-").compactMap { UInt64($0) } ?? []
            return ends.count == 2 ? ByteRange(offset: ends[0], end: ends[1] + 1) : nil
        }
    }
}

extension TestRegistry {
    func location(_ digest: Digest) -> BlobLocation {
        BlobLocation(repository: Repository(host: host, name: "test/app"), digest: digest)
    }
}

extension StreamingConfiguration {
    /// A configuration without speculation, so that requests are predictable.
    static var plain: StreamingConfiguration {
        var configuration = StreamingConfiguration()
        configuration.planner.readAround.first = 0
        configuration.planner.readAround.smallest = 0
        configuration.planner.readAround.largest = 0
        configuration.planner.mergeGap = 100
        configuration.planner.retryFirst = .milliseconds(1)
        configuration.planner.fillQuiet = .milliseconds(1)
        configuration.planner.fillQuietAfterRead = .milliseconds(1)
        configuration.planner.fillDelay = .zero
        configuration.planner.eagerSmallest = 0
        configuration.planner.eagerSeconds = 0
        configuration.planner.eagerLargest = 0
        configuration.planner.readaheadLargest = 0
        return configuration
    }
}

/// Runs `body` with a registry, a store and an engine, and always shuts them down.
func withBench(
    _ configuration: StreamingConfiguration = .plain, registry behaviour: Behaviour = Behaviour(),
    store options: ContentStore.Options = ContentStore.Options(), _ body: (Bench) async throws -> Void
) async throws {
    let logger = Logger.silent
    try await withTemporaryDirectory(in: "/var/tmp") { root in
        var registryConfiguration = RegistryConfiguration()
        registryConfiguration.retry.baseDelay = .milliseconds(1)
        let client = RegistryClient(registryConfiguration, logger: logger)
        try await TestRegistry.withRegistry(behaviour) { registry in
            let store = try ContentStore(root: root, options: options)
            let engine = try StreamingEngine(registry: client, configuration: configuration, logger: logger)
            let result: Result<Void, any Error>
            do {
                try await body(Bench(registry: registry, client: client, store: store, engine: engine))
                result = .success(())
            } catch {
                result = .failure(error)
            }
            await engine.shutdown()
            await client.shutdown()
            try result.get()
        }
    }
}

extension StreamingEngine {
    /// Demands `chunks`, and returns the outcome.
    func fetch(_ layer: StoredLayer, _ chunks: Range<Int>) async -> ChunkOutcome {
        await withCheckedContinuation { continuation in
            _ = demand(layer, chunks: chunks) { continuation.resume(returning: $0) }
        }
    }
}

/// A value that another thread provides.
final class Promise<Value: Sendable>: Sendable {
    private struct State {
        var value: Value?
        var waiting: [CheckedContinuation<Value, Never>] = []
    }

    private let state = Guarded(State())

    func fulfil(_ value: Value) {
        let waiting = state.withLock { state -> [CheckedContinuation<Value, Never>] in
            state.value = value
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume(returning: value) }
    }

    var value: Value {
        get async {
            await withCheckedContinuation { continuation in
                let value = state.withLock { state -> Value? in
                    if state.value == nil { state.waiting.append(continuation) }
                    return state.value
                }
                if let value { continuation.resume(returning: value) }
            }
        }
    }

    var isFulfilled: Bool { state.withLock { $0.value != nil } }
}

extension ChunkOutcome {
    var failure: String? {
        if case .failed(let reason) = self { reason } else { nil }
    }
}
