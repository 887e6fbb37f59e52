import Artifacts
import Base
import ContentStore
import Images
import LayerFormats
import Registry

/// The state of an opening in a test: the plan, the pending outcomes, and a ledger of all actions of the plan.
///
/// Two worlds are equal if the same events can follow and the same violations can still be found.
struct OpeningWorld: Hashable {
    /// An outcome that has not arrived yet.
    enum Pending: Hashable {
        case manifest
        case store(ImageOpening.StoreQuery)
        case profiles
        case announcement
        case artifact
        case index(Int)
        case startProfile
        case configuration
        case opened(Int)
        case attached(Int)
        case deadline
    }

    /// The state of the request for the startup pack.
    enum Pack: Hashable {
        case none, early, dropped, replayed, given
    }

    /// An action that a plan may take once, or once a layer or index.
    enum Deed: Int {
        case manifest, store, pinnedStore, artifact, profiles, startProfile, containerdConfiguration,
            registryConfiguration, index
        case earlyPack, pack, open, openBlob, attach, hint, landmarks, finish, sharedStore, openShared
    }

    /// Numbers of layers or indexes, and deeds with such numbers, as bits.
    struct Bits: Hashable {
        private var bits: UInt128 = 0

        func contains(_ number: Int) -> Bool { bits & 1 << number != 0 }
        func contains(_ deed: Deed, _ number: Int) -> Bool { contains(deed.rawValue * 4 + number) }

        /// Returns false if the number was there.
        @discardableResult mutating func insert(_ number: Int) -> Bool {
            defer { bits |= 1 << number }
            return !contains(number)
        }

        mutating func insert(_ deed: Deed, _ number: Int) -> Bool {
            precondition(number < 4, "more layers than fit")
            return insert(deed.rawValue * 4 + number)
        }

        /// Returns false if the number was not there.
        mutating func remove(_ number: Int) -> Bool {
            defer { bits &= ~(1 << number) }
            return contains(number)
        }
    }

    private static let chain = OpeningImage.digest("chain")

    let image: OpeningImage
    private(set) var plan: ImageOpening
    private(set) var pending: Set<Pending> = []
    private(set) var outcome: [ImageOpening.LayerOutcome]?
    private(set) var failure: FallbackReason?
    private(set) var start: Bool?
    private var asked = Bits()
    private var opened = Bits()
    private var attached = Bits()
    private var hinted = Bits()
    private var hintSource: ImageOpening.StartSource?
    private var earlyIndexes = Bits()
    private var pack = Pack.none
    private var isPackPredicted = false
    private var hasLearnedOfProfile = false
    private var hasDeadlinePassed = false
    private(set) var violations: [String] = []

    private var scenario: OpeningScenario { image.scenario }

    init(_ image: OpeningImage) {
        self.image = image
        plan = ImageOpening(image.request, image.scenario.options)
        if scenario.hasDeadline { pending.insert(.deadline) }
        let actions = plan.begin()
        perform(actions)
    }

    var isFinished: Bool { outcome != nil || failure != nil }

    /// Delivers an outcome to the plan, and performs the resulting actions.
    mutating func deliver(_ arrival: Pending) {
        pending.remove(arrival)
        let wasOver = plan.isOver
        if arrival == .profiles, scenario.hasProfile { hasLearnedOfProfile = true }
        if arrival == .deadline { hasDeadlinePassed = true }
        let actions = plan.handle(event(arrival))
        if wasOver, !actions.isEmpty { violations.append("\(actions) after the end") }
        perform(actions)
        if pending.isEmpty { checkEnd() }
    }

    private func event(_ arrival: Pending) -> ImageOpening.Event {
        switch arrival {
        case .manifest:
            scenario.failsManifest ? .manifestFailed(FallbackReason(.registry)) : .manifest(image.description)
        case .store(let query): lookUp(query)
        case .profiles: .profiles(exist: scenario.hasProfile)
        case .announcement: image.contents.map { .announced($0) } ?? .artifact(nil)
        case .artifact: .artifact(image.artifact)
        case .index(let number): .index(image.indexes[number], arrived: !image.isInvented(index: number))
        case .startProfile: .startProfile(found: scenario.findsStartProfile)
        case .configuration:
            scenario.hasConfiguration
                ? .configuration(
                    chain: Self.chain, diffIDs: image.digests.indices.map { OpeningImage.digest("archive \($0)") })
                : .noConfiguration
        case .opened(let number): opening(number)
        case .attached(let number): .attached(image.digests[number])
        case .deadline: .deadline
        }
    }

    private func lookUp(_ query: ImageOpening.StoreQuery) -> ImageOpening.Event {
        let isVerified = if case .verified = query { true } else { false }
        return switch number(query).map({ scenario.layers[$0] }) {
        case .present: .present(query)
        case .elsewhere: isVerified ? .present(query) : .elsewhere(query)
        case .unshared: isVerified ? .missing(query) : .elsewhere(query)
        case .unreadable: .unreadable(query, FallbackReason(.storage))
        default: .missing(query)
        }
    }

    /// Returns the number of the layer with the query's blob; `nil` if the image has no such layer.
    private func number(_ query: ImageOpening.StoreQuery) -> Int? {
        switch query {
        case .pinned(let key): image.number(key.blob)
        case .anyOfRepository(let blob), .verified(let blob, _): image.number(blob)
        }
    }

    private func opening(_ number: Int) -> ImageOpening.Event {
        let digest = image.digests[number]
        let hasIndex = image.artifact?.layer(digest) != nil && !asked.contains(.openBlob, number)
        let isOpened =
            switch scenario.layers[number] {
            case .present, .estargz: true
            case .ordinary, .unshared: hasIndex
            case .elsewhere: hasIndex || asked.contains(.openShared, number)
            case .unreadable, .brokenEstargz, .brokenOrdinary: false
            }
        return isOpened ? .opened(digest) : .failed(digest, FallbackReason(.notStreamable, "\(number)"))
    }

    // MARK: - Actions

    private mutating func perform(_ actions: [ImageOpening.Action]) {
        for action in actions { perform(action) }
    }

    private mutating func once(_ deed: Deed, _ number: Int = 0, _ pending: Pending? = nil) {
        if !asked.insert(deed, number) { violations.append("\(deed) \(number) is asked for twice") }
        if isFinished, deed != .registryConfiguration {
            violations.append("\(deed) \(number) is asked for after the finish")
        }
        if let pending { self.pending.insert(pending) }
    }

    private mutating func perform(_ action: ImageOpening.Action) {
        switch action {
        case .fetchManifest: once(.manifest, 0, .manifest)
        case .checkStore(let query):
            guard let number = number(query) else { return }
            let deed: Deed =
                switch query {
                case .pinned: .pinnedStore
                case .anyOfRepository: .store
                case .verified: .sharedStore
                }
            once(deed, number, .store(query))
            if case .verified(_, let diffID) = query {
                require(diffID == OpeningImage.digest("archive \(number)"), "another layer's diff ID is looked up")
            }
        case .lookUpArtifact(let manifest):
            require(manifest == image.manifest, "the artifact of another image is looked up")
            once(.artifact, 0, .artifact)
            if image.contents != nil { pending.insert(.announcement) }
        case .lookUpProfiles: once(.profiles, 0, .profiles)
        case .findProfile: once(.startProfile, 0, .startProfile)
        case .readConfiguration: once(.containerdConfiguration, 0, .configuration)
        case .fetchConfiguration: once(.registryConfiguration, 0, .configuration)
        case .fetchIndex(let digest):
            guard let number = number(ofIndex: digest) else { return }
            once(.index, number, .index(number))
            earlyIndexes.insert(number)
        case .dropIndex(let digest):
            guard let number = number(ofIndex: digest) else { return }
            require(earlyIndexes.remove(number), "an index is dropped that was not asked for")
            pending.remove(.index(number))
        case .openPack:
            once(.earlyPack)
            require(pack == .none, "the pack is opened twice")
            require(!hasLearnedOfProfile, "a pack is opened beside a profile")
            pack = .early
        case .dropPack:
            require(pack == .early, "a pack is dropped that is not here")
            pack = .dropped
        case .replayPack(let artifact):
            once(.pack)
            require(hintSource != .profile, "the pack is replayed beside a profile")
            require(!artifact.isPackPredicted || !hasLearnedOfProfile, "a predicted pack is replayed beside a profile")
            isPackPredicted = artifact.isPackPredicted
            pack = .replayed
        case .givePackLayers(let digests):
            require(pack == .replayed, "layers are given to no pack")
            require(
                digests.allSatisfy { attached.contains(image.number($0) ?? -1) }, "a pack gets unattached layers")
            pack = .given
        case .open(let digest, let source): open(digest, source)
        case .attach(let digest):
            guard let number = image.number(digest) else { return }
            once(.attach, number, .attached(number))
            require(opened.contains(number), "layer \(number) is attached before it is open")
        case .hint(let digest, let source):
            guard let number = image.number(digest) else { return }
            once(.hint, number)
            require(attached.contains(number), "layer \(number) is hinted before it is attached")
            require(hintSource == nil || hintSource == source, "hints of two sources")
            require(source != .profile || ![.replayed, .given].contains(pack), "a profile is used beside the pack")
            require(source != .configuration || !hasLearnedOfProfile, "a start is predicted beside a profile")
            hintSource = source
            hinted.insert(number)
        case .prefetchLandmarks: once(.landmarks)
        case .finish(let result):
            once(.finish)
            switch result {
            case .success(let layers): outcome = layers
            case .failure(let reason): failure = reason
            }
        case .announceStart(let isKnown):
            require(start == nil, "the start is announced twice")
            start = isKnown
        }
    }

    private mutating func open(_ digest: Digest, _ source: ImageOpening.LayerSource) {
        guard let number = image.number(digest) else { return }
        once(.open, number, .opened(number))
        opened.insert(number)
        switch source {
        case .store: require(scenario.layers[number] == .present, "layer \(number) is opened from an empty store")
        case .shared:
            _ = asked.insert(.openShared, number)
            require(scenario.layers[number] == .elsewhere, "layer \(number) is shared without a right")
        case .blob: _ = asked.insert(.openBlob, number)
        case .artifact(let layer, let isIndexHere):
            guard isIndexHere, let index = self.number(ofIndex: layer.index.digest) else { return }
            require(earlyIndexes.contains(index), "an index is here that nobody asked for")
            require(!pending.contains(.index(index)), "an index is used before it is here")
        }
    }

    private mutating func number(ofIndex digest: Digest) -> Int? {
        let number = image.indexes.firstIndex(of: digest)
        require(number != nil, "an index of no layer is named")
        return number
    }

    private mutating func require(_ isTrue: Bool, _ what: String) {
        if !isTrue { violations.append(what) }
    }

    // MARK: - The end

    /// Checks a world without pending outcomes.
    private mutating func checkEnd() {
        require(plan.isOver, "the plan waits for nothing")
        require(isFinished, "the image is never finished")
        require(start != nil, "the start is never announced")
        require(pack != .early && pack != .replayed, "the pack is left behind")
        guard let outcome else {
            require(scenario.failsManifest, "the image fails without reason")
            return
        }
        if expectsPack { require(pack == .given, "the pack is not replayed") }
        let streamed = outcome.prefix { if case .streamed = $0 { true } else { false } }
        for (number, layer) in outcome.enumerated() {
            switch layer {
            case .streamed: require(number < streamed.count, "layer \(number) is streamed above a declined one")
            case .declined(_, let reason):
                require(
                    (reason.code == .parentNotRemote) == (number > streamed.count),
                    "layer \(number) is declined for \(reason)")
            }
        }
        for number in streamed.indices {
            require(attached.contains(number), "layer \(number) is streamed but not attached")
            if hintSource != nil { require(hinted.contains(number), "layer \(number) gets no hint") }
        }
    }

    /// True if the plan must replay the artifact's pack.
    ///
    /// The pack must be of use, and every layer must stream. At least one layer must make the plan look up the
    /// artifact.
    private var expectsPack: Bool {
        let isUsed = scenario.layers.contains { $0 == .ordinary || $0 == .present }
        let streams = scenario.layers.allSatisfy { $0 == .ordinary || $0 == .present || $0 == .estargz }
        let isOfUse = scenario.artifact == .pack || scenario.artifact == .predictedPack && !scenario.hasProfile
        return isUsed && streams && isOfUse && !scenario.hasDeadline
    }

    /// Notes that the streaming engine knows a layer, before the plan learns of it.
    mutating func note(_ arrival: Pending) {
        if case .attached(let number) = arrival { attached.insert(number) }
    }
}

extension OpeningWorld {
    /// Hashes what determines most of the plan, but not the plan: its documents would cost more than all else.
    func hash(into hasher: inout Hasher) {
        hasher.combine(pending)
        hasher.combine(asked)
        hasher.combine(opened)
        hasher.combine(attached)
        hasher.combine(hinted)
        hasher.combine(earlyIndexes)
        hasher.combine(pack)
        hasher.combine(start)
        hasher.combine(isFinished)
    }

    /// The part of the result that must not depend on the order of events: true for each streamed layer.
    var verdict: [Bool]? {
        outcome.map { layers in layers.map { if case .streamed = $0 { true } else { false } } }
    }
}
