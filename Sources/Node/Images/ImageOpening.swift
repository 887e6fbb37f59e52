import Artifacts
import Base
import ContentStore
import LayerFormats
import Registry

/// The plan for opening one image: a pure state machine that takes events and returns actions.
///
/// `ImageOpener` performs the actions and reports their outcomes as events. The plan makes every decision that affects
/// speed:
///
/// - If the store lacks the requested layer and the layer may need a streaming artifact, the plan looks for the
///   artifact while the manifest is still being fetched.
/// - The registry's list of referrers names the artifact's indexes and startup pack. The plan requests them before the
///   artifact's manifest arrives.
/// - The plan reads the configuration from containerd at once if the manifest came from containerd. It fetches the
///   configuration from the registry only to predict the start, and only if neither a profile nor a pack describes the
///   start.
/// - The plan opens up to ``Options/layersAtOnce`` layers concurrently, each from the best available source.
/// - The plan requests the start hint of each layer as soon as that layer is attached. In an image with more layers
///   than ``Options/layersAtOnce``, the plan waits until all layers are attached. Earlier prefetching would delay the
///   tables of contents of the other layers.
/// - If a layer fails, the plan declines that layer and all layers above it. containerd downloads everything above a
///   failed layer anyway.
///
/// The plan identifies layers by their blobs' digests. A blob that occurs twice in an image is opened once.
package struct ImageOpening: Sendable, Hashable {
    /// The state of one layer.
    private enum Progress: Hashable {
        case waiting
        /// The layer waits for the outcome of ``Action/checkStore(_:)``.
        case checking
        /// The store has a verified layer of the blob from another repository. The layer waits until it is known if the
        /// image may share that one.
        case sharing
        /// The store lacks the layer, and a streaming artifact may have its index. The layer waits for the artifact.
        case awaitingArtifact
        /// The streaming artifact has the layer's index. If the plan requested that index early, the layer waits for
        /// the index. Otherwise, the plan opens the layer at once.
        case awaitingIndex(StreamingArtifact.Layer)
        case opening
        case attaching
        case ready
        /// The layer was declined because this layer or a layer below it failed.
        case ended
    }

    private enum Lookup: Hashable {
        case idle
        case running
        case done(StreamingArtifact?)
    }

    private enum Presence: Hashable {
        case asked
        case present
        case missing
        case elsewhere
        case unreadable(FallbackReason)
    }

    private enum EarlyIndex: Hashable {
        case running
        case arrived
        case failed
    }

    /// The decision about the source of start hints for individual layers.
    private enum Beginning: Hashable {
        case undecided
        case findingProfile
        case hint(StartSource)
        case nothing
    }

    /// The state of the image's configuration.
    private enum ConfigurationState: Hashable {
        case unknown
        /// The configuration is being read from containerd.
        case reading
        case known(chain: Digest?)
        case missing
        case fetching
    }

    /// The lowest layer that the plan has declined, so that containerd downloads it.
    private struct Declined: Hashable {
        /// The layer's index in ``order``.
        let index: Int
        let reason: FallbackReason
    }

    private let request: Request
    private let options: Options

    private var image: ImageDescription?
    private var layers: [Digest: Progress] = [:]
    /// The digests of the layers, each once, from the bottom.
    private var order: [Digest] = []
    private var presence: [StoreQuery: Presence] = [:]
    private var declined: Declined?

    private var artifact = Lookup.idle
    private var announced: ArtifactContents?
    private var indexes: [Digest: EarlyIndex] = [:]
    /// The digest of the startup pack that the plan requested before the artifact's manifest arrived; `nil` if there is
    /// none.
    private var earlyPack: Digest?
    /// True if the plan uses the artifact's startup pack; `nil` until decided.
    private var replaysPack: Bool?

    /// True if an image of this repository has a recorded profile; `nil` until known.
    private var hasProfile: Bool?
    private var configuration = ConfigurationState.unknown
    /// True once the configuration was requested from the registry.
    private var isConfigurationFetched = false
    /// The diff IDs in the configuration, bottom first.
    private var diffIDs: [Digest] = []
    private var isPastDeadline = false
    private var beginning = Beginning.undecided
    /// True once a look-up has found no profile for this start.
    private var hasNoStartProfile = false
    private var hinted: Set<Digest> = []

    private var isFinished = false
    /// True if the container's command is known and useful for a prediction; `nil` until decided.
    private var start: Bool?
    private var actions: [Action] = []

    package init(_ request: Request, _ options: Options) {
        self.request = request
        self.options = options
    }

    /// True once the plan expects no further event.
    package var isOver: Bool { isFinished && start != nil }

    /// True if a streaming artifact of the image has been found.
    package var hasArtifact: Bool {
        if case .done(.some) = artifact { true } else { false }
    }

    // MARK: - Events

    /// Starts the plan, and returns its first actions.
    package mutating func begin() -> [Action] {
        actions.append(.fetchManifest)
        if options.replaysProfiles {
            actions.append(.lookUpProfiles)
        } else {
            hasProfile = false
        }
        if !options.usesArtifacts { artifact = .done(nil) }
        if mayNeedArtifactEarly { check(query(request.layer)) }
        return takeActions()
    }

    /// Handles an event and returns the actions that become possible.
    package mutating func handle(_ event: Event) -> [Action] {
        guard !isOver else { return [] }
        apply(event)
        advance()
        return takeActions()
    }

    private mutating func takeActions() -> [Action] {
        defer { actions = [] }
        return actions
    }

    private mutating func apply(_ event: Event) {
        switch event {
        case .manifest(let found): take(found)
        case .manifestFailed(let reason): if image == nil { finish(.failure(reason)) }
        case .present(let query): presence[query] = .present
        case .missing(let query): presence[query] = .missing
        case .elsewhere(let query): presence[query] = .elsewhere
        case .unreadable(let query, let reason): presence[query] = .unreadable(reason)
        case .announced(let contents): if case .running = artifact, !isFinished { announced = contents }
        case .artifact(let found): if case .running = artifact { take(found) }
        case .index(let digest, let arrived):
            if indexes[digest] != nil { indexes[digest] = arrived ? .arrived : .failed }
        case .profiles(let exist): if hasProfile == nil { hasProfile = exist }
        case .startProfile(let found): take(startProfile: found)
        case .configuration(let chain, let diffIDs):
            self.diffIDs = diffIDs
            take(configuration: .known(chain: chain))
        case .noConfiguration: take(configuration: .missing)
        case .opened(let digest): settle(digest, .attaching)
        case .attached(let digest): settle(digest, .ready)
        case .failed(let digest, let reason): if isUnderWay(digest) { decline(digest, reason) }
        case .deadline: endOptionalLookups()
        }
    }

    private mutating func take(_ found: ImageDescription) {
        guard image == nil, !isFinished else { return }
        image = found
        for layer in found.layers where layers.updateValue(.waiting, forKey: layer.digest) == nil {
            order.append(layer.digest)
        }
        guard let descriptor = found.configuration else {
            configuration = .missing
            return
        }
        if found.isFromContainerd {
            configuration = .reading
            actions.append(.readConfiguration(descriptor))
        } else {
            configuration = .missing
        }
    }

    private mutating func take(_ found: StreamingArtifact?) {
        artifact = .done(found)
        announced = nil
        let wanted = Set(found?.layers.map(\.index.digest) ?? [])
        for digest in indexes.keys.sorted(by: { $0.hex < $1.hex }) where !wanted.contains(digest) {
            indexes[digest] = nil
            actions.append(.dropIndex(digest))
        }
    }

    private mutating func take(startProfile isFound: Bool) {
        guard case .findingProfile = beginning else { return }
        beginning = isFound ? .hint(.profile) : .undecided
        hasNoStartProfile = !isFound
    }

    private mutating func take(configuration found: ConfigurationState) {
        switch configuration {
        case .reading, .fetching: configuration = found
        case .unknown, .known, .missing: break
        }
    }

    private mutating func endOptionalLookups() {
        isPastDeadline = true
        switch artifact {
        case .idle, .running: take(nil)
        case .done: break
        }
        // Without an answer, assume that there is a profile, so that nothing is predicted.
        if hasProfile == nil { hasProfile = true }
        if case .findingProfile = beginning { beginning = .nothing }
        switch configuration {
        case .reading, .fetching: take(configuration: .missing)
        case .unknown, .known, .missing: break
        }
    }

    // MARK: - Decisions

    /// Emits every action that the state allows. Emits each action only once.
    private mutating func advance() {
        lookUpArtifact()
        askEarly()
        openLayers()
        decidePack()
        decideBeginning()
        decideStart()
        hint()
        finishIfComplete()
    }

    private func query(_ layer: LayerDescription) -> StoreQuery {
        StoreQuery(layer, options.formats)
    }

    /// Returns true if the layer's description shows a format that can be streamed without a streaming artifact.
    private func isStreamableAsIs(_ layer: LayerDescription) -> Bool {
        options.formats.format(of: layer) != nil
    }

    /// True if the request alone shows that the image may need a streaming artifact.
    private var mayNeedArtifactEarly: Bool {
        options.usesArtifacts && request.manifest != nil && !isStreamableAsIs(request.layer)
    }

    /// True if some layer needs a streaming artifact, and the plan can look for one because it knows the manifest's
    /// digest. `nil` until the manifest arrives.
    private var mayUseArtifact: Bool? {
        image.map { image in image.manifest != nil && image.layers.contains { !isStreamableAsIs($0) } }
    }

    private mutating func lookUpArtifact() {
        guard case .idle = artifact else { return }
        if let mayUseArtifact {
            guard mayUseArtifact, let manifest = image?.manifest else {
                artifact = .done(nil)
                return
            }
            artifact = .running
            actions.append(.lookUpArtifact(manifest))
        } else if mayNeedArtifactEarly, case .missing = presence[query(request.layer)], let manifest = request.manifest
        {
            artifact = .running
            actions.append(.lookUpArtifact(manifest))
        }
    }

    /// Requests the layer indexes and the startup pack that ``Event/announced(_:)`` named. Skips the indexes of layers
    /// that the store has.
    private mutating func askEarly() {
        guard let announced else { return }
        var isAnyMissing = announced.indexes.isEmpty
        for (layer, index) in announced.indexes {
            check(.anyOfRepository(layer))
            guard case .missing = presence[.anyOfRepository(layer)] else { continue }
            isAnyMissing = true
            guard indexes[index] == nil else { continue }
            indexes[index] = .running
            actions.append(.fetchIndex(index))
        }
        // A predicted pack is of no use if there is a local profile. Before the artifact's manifest arrives, the plan
        // cannot tell if the pack is predicted.
        guard isAnyMissing, options.replaysProfiles, hasProfile == false, earlyPack == nil, replaysPack == nil,
            let pack = announced.pack
        else { return }
        earlyPack = pack.digest
        actions.append(.openPack(pack.digest, size: pack.size))
    }

    private mutating func openLayers() {
        guard let image, !isFinished else { return }
        for digest in order { proceed(digest, image) }
        var running = order.count(where: isUnderWay)
        for (index, digest) in order.enumerated() {
            guard running < options.layersAtOnce, index < streamableLimit else { break }
            guard case .waiting = layers[digest] else { continue }
            layers[digest] = .checking
            if let layer = image.layer(digest) { check(query(layer)) }
            proceed(digest, image)
            if isUnderWay(digest) { running += 1 }
        }
    }

    /// Advances a layer until it has to wait for another event.
    private mutating func proceed(_ digest: Digest, _ image: ImageDescription) {
        switch layers[digest] {
        case .checking:
            guard let layer = image.layer(digest) else { return }
            switch presence[query(layer)] {
            case .present: open(digest, .store)
            case .unreadable(let reason): decline(digest, reason)
            case .elsewhere:
                layers[digest] = .sharing
                proceed(digest, image)
            case .missing:
                if isStreamableAsIs(layer) {
                    open(digest, .blob)
                } else {
                    layers[digest] = .awaitingArtifact
                    proceed(digest, image)
                }
            case .asked, nil: break
            }
        case .sharing:
            switch shared(digest, image) {
            case .present(let diffID): open(digest, .shared(diffID: diffID))
            case .absent:
                layers[digest] = .awaitingArtifact
                proceed(digest, image)
            case .undecided: break
            }
        case .awaitingArtifact:
            guard case .done(let found) = artifact else { return }
            guard let known = found?.layer(digest) else { return open(digest, .blob) }
            layers[digest] = .awaitingIndex(known)
            proceed(digest, image)
        case .awaitingIndex(let known):
            switch indexes[known.index.digest] {
            case .running: break
            case .arrived: open(digest, .artifact(known, isIndexHere: true))
            case .failed, nil: open(digest, .artifact(known, isIndexHere: false))
            }
        case .waiting, .opening, .attaching, .ready, .ended, nil: break
        }
    }

    private enum Sharing {
        case undecided
        case present(diffID: Digest)
        case absent
    }

    /// Decides if the image may use a verified layer from another repository. The image's own configuration must state
    /// the layer's diff ID.
    private mutating func shared(_ digest: Digest, _ image: ImageDescription) -> Sharing {
        guard !isPastDeadline else { return .absent }
        switch configuration {
        case .unknown, .reading, .fetching: return .undecided
        case .missing:
            guard let descriptor = image.configuration, !isConfigurationFetched else { return .absent }
            fetchConfiguration(descriptor)
            return .undecided
        case .known:
            guard let diffID = image.diffID(of: digest, among: diffIDs) else { return .absent }
            let query = StoreQuery.verified(digest, diffID: diffID)
            switch presence[query] {
            case .present: return .present(diffID: diffID)
            case .missing, .elsewhere, .unreadable: return .absent
            case .asked: return .undecided
            case nil:
                check(query)
                return .undecided
            }
        }
    }

    private mutating func fetchConfiguration(_ descriptor: Descriptor) {
        (configuration, isConfigurationFetched) = (.fetching, true)
        actions.append(.fetchConfiguration(descriptor))
    }

    private mutating func open(_ digest: Digest, _ source: LayerSource) {
        layers[digest] = .opening
        actions.append(.open(digest, source))
    }

    private mutating func settle(_ digest: Digest, _ next: Progress) {
        guard let index = order.firstIndex(of: digest), index < streamableLimit else { return }
        switch (layers[digest], next) {
        case (.opening, .attaching): actions.append(.attach(digest))
        case (.attaching, .ready): break
        default: return
        }
        layers[digest] = next
    }

    /// Declines a layer and all layers above it, so that containerd downloads them.
    private mutating func decline(_ digest: Digest, _ reason: FallbackReason) {
        guard let index = order.firstIndex(of: digest), index < streamableLimit else { return }
        declined = Declined(index: index, reason: reason)
        for above in order[index...] { layers[above] = .ended }
    }

    /// The number of layers, counted from the bottom, that are not declined so far.
    private var streamableLimit: Int { declined?.index ?? order.count }

    private func isUnderWay(_ digest: Digest) -> Bool {
        switch layers[digest] {
        case .checking, .sharing, .awaitingArtifact, .awaitingIndex, .opening, .attaching: true
        case .waiting, .ready, .ended, nil: false
        }
    }

    private mutating func check(_ query: StoreQuery) {
        guard presence[query] == nil else { return }
        presence[query] = .asked
        actions.append(.checkStore(query))
    }

    // MARK: - The start

    /// Decides if the plan uses the artifact's startup pack. If the pack was made from a recorded start, the plan uses
    /// it unless the plan has found a profile for this start. The plan uses a predicted pack only if no image of the
    /// repository has a profile.
    private mutating func decidePack() {
        guard replaysPack == nil, !isFinished, case .done(let found) = artifact else { return }
        guard options.replaysProfiles, let found, found.pack != nil else { return endPack() }
        switch beginning {
        // This node's own profile is better than the pack.
        case .hint(.profile): return endPack()
        case .findingProfile: return
        case .undecided, .hint(.configuration), .nothing: break
        }
        if found.isPackPredicted {
            guard let hasProfile else { return }
            if hasProfile { return endPack() }
        }
        if let earlyPack, earlyPack != found.pack?.digest { actions.append(.dropPack) }
        earlyPack = nil
        replaysPack = true
        actions.append(.replayPack(found))
    }

    private mutating func endPack() {
        replaysPack = false
        guard earlyPack != nil else { return }
        earlyPack = nil
        actions.append(.dropPack)
    }

    /// True if the image has a startup pack; `nil` while a look-up may still find one.
    private var hasPack: Bool? {
        switch artifact {
        case .done(let found): found?.pack != nil
        case .idle, .running: mayUseArtifact == false ? false : nil
        }
    }

    /// Decides on the source of start hints for individual layers, once enough is known.
    private mutating func decideBeginning() {
        guard case .undecided = beginning, let image, let mayUseArtifact, !isFinished else { return }
        if mayUseArtifact {
            guard case .done(let found) = artifact else { return }
            // containerd pulls a layer without an index, and all layers above it. The plan requests no hints for the
            // individual layers of such an image.
            guard let found,
                image.layers.allSatisfy({ layer in isStreamableAsIs(layer) || found.layer(layer.digest) != nil })
            else {
                beginning = .nothing
                return
            }
        }
        let chain: Digest?
        switch configuration {
        case .unknown, .reading: return
        case .known(let known): chain = known
        case .missing, .fetching: chain = nil
        }
        if !mayUseArtifact, options.replaysProfiles, replaysPack != true, !hasNoStartProfile {
            beginning = .findingProfile
            actions.append(.findProfile(chain: chain))
            return
        }
        // Layers do not wait for a configuration that has to come from the registry.
        guard case .known = configuration, options.predicts, hasPack == false else {
            beginning = .nothing
            return
        }
        guard let hasProfile else { return }
        beginning = hasProfile ? .nothing : .hint(.configuration)
    }

    /// Decides if the command in the image's configuration is used to predict the start.
    private mutating func decideStart() {
        guard start == nil, let image else { return }
        guard options.predicts, let descriptor = image.configuration else { return announceStart(false) }
        guard let hasProfile else { return }
        if hasProfile { return announceStart(false) }
        guard let hasPack else { return }
        if hasPack { return announceStart(false) }
        switch configuration {
        case .known: announceStart(true)
        case .missing:
            if isConfigurationFetched { announceStart(false) } else { fetchConfiguration(descriptor) }
        case .unknown, .reading, .fetching: break
        }
    }

    private mutating func announceStart(_ isKnown: Bool) {
        guard start == nil else { return }
        start = isKnown
        actions.append(.announceStart(isKnown: isKnown))
    }

    private var hintsEarly: Bool { (image?.layers.count ?? 0) <= options.layersAtOnce }

    private mutating func hint() {
        guard hintsEarly, !isFinished else { return }
        hintReadyLayers()
    }

    private mutating func hintReadyLayers() {
        guard case .hint(let source) = beginning else { return }
        for digest in order.prefix(streamableLimit) where !hinted.contains(digest) {
            guard case .ready = layers[digest] else { continue }
            hinted.insert(digest)
            actions.append(.hint(digest, source))
        }
    }

    // MARK: - The end

    private mutating func finishIfComplete() {
        guard !isFinished, let image else { return }
        let streamed = Array(order.prefix(streamableLimit))
        for digest in streamed {
            guard case .ready = layers[digest] else { return }
        }
        if !streamed.isEmpty {
            switch beginning {
            case .undecided, .findingProfile: return
            case .hint, .nothing: break
            }
            if mayUseArtifact == true, replaysPack == nil { return }
            hintReadyLayers()
        }
        let outcomes = image.layers.enumerated().map { index, layer -> LayerOutcome in
            guard let declined, let lowest = image.layers.firstIndex(where: { $0.digest == order[declined.index] }),
                index >= lowest
            else { return .streamed(layer.digest) }
            if index == lowest { return .declined(layer.digest, declined.reason) }
            return .declined(
                layer.digest,
                FallbackReason(
                    .parentNotRemote, "layer \(order[declined.index]) below it is pulled, so this one has to be"))
        }
        if options.prefetchesLandmarks, !streamed.isEmpty { actions.append(.prefetchLandmarks(streamed)) }
        finish(.success(outcomes), streamed)
    }

    private mutating func finish(_ result: Result<[LayerOutcome], FallbackReason>, _ streamed: [Digest] = []) {
        guard !isFinished else { return }
        isFinished = true
        if replaysPack == true { actions.append(.givePackLayers(streamed)) }
        if replaysPack == nil { endPack() }
        for digest in indexes.keys.sorted(by: { $0.hex < $1.hex }) {
            if case .running = indexes[digest] { actions.append(.dropIndex(digest)) }
        }
        indexes = [:]
        announced = nil
        actions.append(.finish(result))
        // Nothing is streamed, so there is no start to predict.
        if streamed.isEmpty { announceStart(false) }
    }
}
