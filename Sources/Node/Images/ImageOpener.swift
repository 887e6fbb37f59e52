import Artifacts
import Base
import Concurrency
import LayerFormats
import Logging
import Registry

/// The opener of images. It performs the actions of an ``ImageOpening``, the plan for one image, and reports their
/// outcomes to the plan as events.
///
/// For each image, one loop owns the plan and the data that the actions bring. Each action that waits runs in a child
/// task, which sends its outcome to the loop through a stream of arrivals. When the plan ends, the loop cancels the
/// remaining tasks.
struct ImageOpener: Sendable {
    /// The outcome of an action: the event for the plan, and a closure that stores the data that the action brought.
    private struct Arrival: Sendable {
        let event: ImageOpening.Event
        var store: @Sendable (inout OpeningContents) -> Void = { _ in }
    }

    /// The state of one image that is being opened.
    private struct Run {
        let reference: ImageReference
        let request: RemoteLayerRequest
        let opened: OneShot<Result<OpenedImage, FallbackReason>>
        let start: MonotonicTime
        let arrivals: AsyncStream<Arrival>.Continuation
        var opening: ImageOpening
        var image: ImageOpening.ImageDescription?
        var contents: OpeningContents

        var repository: Repository { reference.repository }
    }

    let parts: OpeningParts
    let options: ImageOpening.Options
    let lookupLimit: Duration
    let clock: any TimeSource
    let logger: Logger

    /// Opens the image that `request` names.
    ///
    /// Stores the result in `opened` as soon as the layers are ready. Returns later: after the plan has decided on a
    /// prediction of the container's start, and the streaming engine has received all hints.
    func open(
        _ reference: ImageReference, for request: RemoteLayerRequest,
        into opened: OneShot<Result<OpenedImage, FallbackReason>>
    ) async {
        let (stream, arrivals) = AsyncStream.makeStream(of: Arrival.self)
        var run = Run(
            reference: reference, request: request, opened: opened, start: clock.now, arrivals: arrivals,
            opening: ImageOpening(
                ImageOpening.Request(layer: request.layer, manifest: request.manifestDigest), options),
            contents: OpeningContents(turns: ImageTurns(parts.layers.bounds)))
        // When the plan ends, the loop cancels the pending actions in the inner group. Hints that are still being sent
        // to the streaming engine run in the outer group, and are not canceled.
        await withDiscardingTaskGroup { hints in
            await withDiscardingTaskGroup { group in
                group.addTask { [clock, lookupLimit] in
                    try? await clock.sleep(for: lookupLimit)
                    arrivals.yield(Arrival(event: .deadline))
                }
                perform(run.opening.begin(), of: &run, in: &group, hints: &hints)
                for await arrival in stream {
                    arrival.store(&run.contents)
                    if case .manifest(let image) = arrival.event { run.image = image }
                    perform(run.opening.handle(arrival.event), of: &run, in: &group, hints: &hints)
                    if run.opening.isOver { break }
                }
                group.cancelAll()
            }
        }
        run.contents.dropRest()
        // `opened` is already fulfilled, unless this task was canceled.
        opened.fulfill(.failure(FallbackReason(.timeout, "image \(reference): opening was cancelled")))
        run.contents.announcement.fulfill(nil)
    }

    // MARK: - Actions

    private func perform(
        _ actions: [ImageOpening.Action], of run: inout Run, in group: inout DiscardingTaskGroup,
        hints: inout DiscardingTaskGroup
    ) {
        for action in actions {
            if case .hint(let digest, let source) = action {
                guard let layer = run.contents.layers[digest] else { continue }
                let contents = run.contents
                hints.addTask { await parts.streaming.hint(layer, source: source, of: contents) }
            } else {
                perform(action, of: &run, in: &group)
            }
        }
    }

    private func perform(_ action: ImageOpening.Action, of run: inout Run, in group: inout DiscardingTaskGroup) {
        let (repository, arrivals) = (run.repository, run.arrivals)
        /// Runs `body` in a child task, and sends its result to the loop.
        func task(_ body: @escaping @Sendable () async -> Arrival) {
            group.addTask { arrivals.yield(await body()) }
        }
        switch action {
        case .fetchManifest:
            let (reference, request) = (run.reference, run.request)
            task { await fetchManifest(reference, request) }
        case .checkStore(let query): task { await checkStore(query, in: repository) }
        case .lookUpArtifact(let manifest):
            task {
                let found = await parts.artifacts.artifact(of: manifest, in: repository) { contents in
                    arrivals.yield(Arrival(event: .announced(contents)))
                }
                return Arrival(event: .artifact(found)) { $0.artifact = found }
            }
        case .lookUpProfiles: task { Arrival(event: .profiles(exist: await parts.profiles.exist(of: repository))) }
        case .findProfile(let chain):
            task {
                let found = await parts.profiles.beginning(of: chain, repository)
                return Arrival(event: .startProfile(found: found != nil)) { $0.profile = found }
            }
        case .readConfiguration(let descriptor):
            let namespace = run.request.namespace
            task { Self.arrival(await parts.documents.pulledConfiguration(descriptor, namespace: namespace)) }
        case .fetchConfiguration(let descriptor):
            task { Self.arrival(await parts.documents.configuration(descriptor, in: repository)) }
        case .fetchIndex(let digest):
            let index = parts.artifacts.earlyIndex(digest, in: repository)
            run.contents.indexes[digest] = index
            task { Arrival(event: .index(digest, arrived: (try? await index.value) != nil)) }
        case .dropIndex(let digest): run.contents.dropIndex(digest)
        case .openPack(let digest, let size):
            run.contents.earlyPack = parts.artifacts.pack(digest, size: size, in: repository)
        case .dropPack: run.contents.earlyPack = nil
        case .replayPack(let artifact):
            guard let pack = artifact.pack else { return }
            // An early request that still exists is for this pack, because the plan has dropped any other.
            let request = run.contents.earlyPack ?? parts.artifacts.pack(pack.digest, size: pack.size, in: repository)
            run.contents.pack = OpeningContents.Pack(request: request, isPredicted: artifact.isPackPredicted)
            run.contents.earlyPack = nil
        case .givePackLayers(let digests):
            guard let pack = run.contents.pack else { return }
            run.contents.pack = nil
            if !digests.isEmpty { parts.streaming.replay(pack, into: digests.compactMap { run.contents.layers[$0] }) }
        case .open(let digest, let source): open(digest, from: source, of: run, in: &group)
        case .attach(let digest):
            guard let layer = run.contents.layers[digest] else { return }
            let tail = run.contents.tails.removeValue(forKey: digest)
            task {
                await parts.streaming.attach(layer, in: repository, tail: tail)
                return Arrival(event: .attached(digest))
            }
        case .hint: break
        case .prefetchLandmarks(let digests):
            parts.streaming.prefetchLandmarks(of: digests.compactMap { run.contents.layers[$0] })
        case .finish(let result): finish(result, run)
        case .announceStart(let isKnown): run.contents.announcement.fulfill(isKnown ? run.contents.start : nil)
        }
    }

    private static func arrival(_ configuration: ImageConfiguration?) -> Arrival {
        guard let configuration else { return Arrival(event: .noConfiguration) }
        return Arrival(event: .configuration(chain: configuration.chainID, diffIDs: configuration.diffIDs)) {
            $0.configuration = configuration
        }
    }

    private func fetchManifest(_ reference: ImageReference, _ request: RemoteLayerRequest) async -> Arrival {
        do throws(FallbackReason) {
            return Arrival(event: .manifest(try await parts.documents.description(of: reference, request)))
        } catch {
            return Arrival(event: .manifestFailed(error))
        }
    }

    private func checkStore(_ query: ImageOpening.StoreQuery, in repository: Repository) async -> Arrival {
        do throws(FallbackReason) {
            guard let layer = try await parts.layers.stored(query, in: repository) else {
                if case .anyOfRepository(let blob) = query, try await parts.layers.hasVerified(blob) {
                    return Arrival(event: .elsewhere(query))
                }
                return Arrival(event: .missing(query))
            }
            return Arrival(event: .present(query)) { $0.stored[query] = layer }
        } catch {
            return Arrival(event: .unreadable(query, error))
        }
    }

    private func open(
        _ digest: Digest, from source: ImageOpening.LayerSource, of run: Run, in group: inout DiscardingTaskGroup
    ) {
        guard let layer = run.image?.layer(digest) else { return }
        let (reference, contents, arrivals) = (run.reference, run.contents, run.arrivals)
        group.addTask {
            do throws(FallbackReason) {
                let query =
                    if case .shared(let diffID) = source {
                        ImageOpening.StoreQuery.verified(digest, diffID: diffID)
                    } else {
                        ImageOpening.StoreQuery(layer, options.formats)
                    }
                let opened = try await parts.layers.open(
                    layer, of: reference, from: await contents.source(query, source), turns: contents.turns)
                arrivals.yield(
                    Arrival(event: .opened(digest)) {
                        $0.layers[digest] = opened.content
                        $0.mergeMemory[digest] = opened.mergeMemory
                        $0.tails[digest] = opened.tail
                    })
            } catch {
                arrivals.yield(Arrival(event: .failed(digest, error)))
            }
        }
    }

    private func finish(_ result: Result<[ImageOpening.LayerOutcome], FallbackReason>, _ run: Run) {
        let image = result.map { run.contents.image($0, run.image?.chainIDs, memory: parts.layers.bounds.memory.total) }
        if case .success(let image) = image {
            logger.info(
                "image opened",
                metadata: [
                    "image": "\(run.reference)", "layers": "\(image.layers.count)",
                    "streamed": "\(image.streamedCount)", "artifact": "\(run.opening.hasArtifact)",
                    "manifest": "\(run.image?.isFromContainerd == true ? "containerd" : "registry")",
                    "milliseconds": "\(clock.now.since(run.start) / 1_000_000)",
                ])
        }
        run.opened.fulfill(image)
    }
}
