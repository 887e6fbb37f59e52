import Base
import ContentStore
import LayerIndex
import Planner
import Registry

/// The opener of ranges of a layer's blob. It tries the blob's locations one after the other until a request succeeds.
/// If the answer to a reader's request is late, the opener sends the request a second time (``HedgingPolicy``).
final class BlobOpener: Sendable {
    private let registry: RegistryClient
    private let search: LocationSearch
    private let counters: StreamingCounters
    private let hedging = Guarded(HedgingPolicy())

    init(registry: RegistryClient, search: LocationSearch, counters: StreamingCounters) {
        self.registry = registry
        self.search = search
        self.counters = counters
    }

    /// Opens the ranges that `order` names. They lie in the blob that holds the layer's extents: the layer's own blob
    /// or a copy of it.
    func open(_ order: RangeOrder) async throws(RegistryError) -> BlobStream {
        let chunks = order.layer.content.chunks
        let open: @Sendable () async -> Result<BlobStream, RegistryError> = { [self] in
            do throws(RegistryError) {
                return .success(
                    try await self.open(
                        order.request.ranges, of: chunks.blobDigest, size: chunks.blobSize, for: order))
            } catch {
                return .failure(error)
            }
        }
        // Only a reader's request is important enough to be sent twice.
        return order.request.fetchClass == .demand ? try await hedged(open) : try await open().get()
    }

    /// Opens ranges of a blob that is in the same repositories as the layer of `order`. The class of `order` determines
    /// the priority of the request.
    ///
    func open(
        _ ranges: [ByteRange], of blob: Digest, size: UInt64, for order: RangeOrder
    ) async throws(RegistryError) -> BlobStream {
        let priority: RequestPriority = order.request.fetchClass == .demand ? .demand : .background
        let hull = ByteRange(offset: ranges.first?.offset ?? 0, end: ranges.last?.end ?? 0)
        let selection: BlobSelection = ranges.count > 1 ? .ranges(ranges) : .range(hull)
        var tried: Set<BlobLocation> = []
        return try await open(
            selection, of: blob, size: size, layer: order.layer, priority: priority, except: &tried)
    }

    /// Opens a blob that is in the same repositories as `layer`, at the first location that is not in `tried` and does
    /// not fail. Adds each location that it tries to `tried`.
    ///
    /// For each repository, the registry client itself uses mirrors and retries failed requests. If a repository still
    /// fails, for example because it lacks the blob or denies access, this function tries the next repository. After
    /// the last one, it searches for further repositories.
    ///
    /// - Parameter size: the size of the blob in bytes; `nil` if unknown.
    func open(
        _ selection: BlobSelection, of blob: Digest, size: UInt64?, layer: AttachedLayer, priority: RequestPriority,
        except tried: inout Set<BlobLocation>
    ) async throws(RegistryError) -> BlobStream {
        var last = RegistryError(.notFound, "the layer has no known location")
        while true {
            guard let location = layer.locations.first(where: { !tried.contains($0) }) else {
                guard await search.search(for: layer) else { throw last }
                // Another request may have searched just now, so only a search that finds nothing ends the loop.
                guard layer.locations.contains(where: { !tried.contains($0) }) else { throw last }
                continue
            }
            tried.insert(location)
            do throws(RegistryError) {
                let stream = try await registry.open(
                    BlobLocation(repository: location.repository, digest: blob), selection, priority: priority,
                    knownSize: size)
                layer.prefer(location)
                return stream
            } catch {
                switch error.code {
                case .cancelled, .shutDown: throw error
                default: last = error
                }
            }
        }
    }

    /// Returns the result of `open`. If the first call is late and the policy allows a second call, calls `open` again.
    /// Then returns the first success, and cancels the other call.
    private func hedged(
        _ open: @escaping @Sendable () async -> Result<BlobStream, RegistryError>
    ) async throws(RegistryError) -> BlobStream {
        let patience = hedging.withLock { hedging -> UInt64? in
            hedging.requested()
            return hedging.patience
        }
        let timed: @Sendable () async -> Result<BlobStream, RegistryError>? = { [self] in
            let begun = MonotonicTime.now()
            let result = await open()
            if case .success = result { hedging.withLock { $0.answered(after: MonotonicTime.now().since(begun)) } }
            return result
        }
        guard let patience else { return try await Self.unwrapped(timed()).get() }
        let result = await withTaskGroup(of: Result<BlobStream, RegistryError>?.self) { group in
            group.addTask { await timed() }
            group.addTask {
                try? await Task.sleep(nanoseconds: patience)
                return nil
            }
            var running = 1
            var last: Result<BlobStream, RegistryError>?
            while running > 0, let next = await group.next() {
                guard let result = next else {
                    // The request is late: a successful answer would have ended the loop.
                    guard !Task.isCancelled, hedging.withLock({ $0.mayRepeat() }) else { continue }
                    counters.hedged.add()
                    running += 1
                    group.addTask { await timed() }
                    continue
                }
                running -= 1
                last = result
                if case .success = result { break }
            }
            group.cancelAll()
            return last
        }
        return try Self.unwrapped(result).get()
    }

    private static func unwrapped(
        _ result: Result<BlobStream, RegistryError>?
    ) -> Result<BlobStream, RegistryError> {
        result ?? .failure(RegistryError(.cancelled, "the request was cancelled"))
    }
}
