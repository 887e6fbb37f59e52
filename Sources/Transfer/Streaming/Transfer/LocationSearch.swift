import Base
import Concurrency
import ContentStore
import Registry

/// The search for further locations of layers, for requests that have failed at all known ones.
final class LocationSearch: Sendable {
    /// The minimum time between two searches for the locations of one layer. A layer whose registries are down must not
    /// cause a search for each read.
    private static let pause: UInt64 = 10_000_000_000
    /// The maximum time that a request waits for a search.
    private static let patience = Duration.seconds(3)
    private static let maximumLayers = 4096

    private let finder = Guarded<(@Sendable (StoredLayer) async -> [BlobLocation])?>(nil)
    private let running = SingleFlight<LayerKey, [BlobLocation]>()
    private let last = Guarded(BoundedCache<LayerKey, MonotonicTime>(capacity: maximumLayers))

    /// Sets the function that finds the locations of a layer.
    func find(with finder: @escaping @Sendable (StoredLayer) async -> [BlobLocation]) {
        self.finder.withLock { $0 = finder }
    }

    /// Adds further locations of the layer, if there are any. Concurrent calls for one layer share a search.
    ///
    /// - Returns: true if a search has run. The caller then looks at ``AttachedLayer/locations`` again.
    func search(for layer: AttachedLayer) async -> Bool {
        guard let finder = finder.withLock({ $0 }) else { return false }
        let (key, now) = (layer.content.key, MonotonicTime.now())
        let isDue = last.withLock { last -> Bool in
            if let before = last[key], now.since(before) < Self.pause { return false }
            last[key] = now
            return true
        }
        guard isDue || running.isRunning({ $0 == key }) else { return false }
        let content = layer.content
        if case .value(let found) = await running.value(for: key, timeout: Self.patience, { await finder(content) }) {
            layer.add(found)
        }
        return true
    }
}
