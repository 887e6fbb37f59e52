public import Base
public import ContentStore
public import LayerIndex

/// Follows the starts of containers that have no profile, one thread for all of them: see ``StartPrediction``.
public final class Predictor: Sendable {
    /// Starts that are followed at once; of more, only what they read themselves is fetched.
    private static let maximumStarts = 32
    /// A start of which nothing has been seen for so many nanoseconds is over.
    private static let quiet: UInt64 = 10_000_000_000
    /// A start is over after this many nanoseconds in any case.
    private static let longest: UInt64 = 120_000_000_000

    /// A start that is followed; the thread's own.
    private struct Follow {
        let touches: TouchLog
        var seen = 0
        var prediction: StartPrediction
        let began = MonotonicTime.now()
        var lastSeen = MonotonicTime.now()

        mutating func proceed() -> [ChunkRun] {
            let touches = touches.touches(from: seen)
            seen += touches.count
            if !touches.isEmpty { lastSeen = MonotonicTime.now() }
            for touch in touches { prediction.touched(touch.inode) }
            prediction.proceed()
            return prediction.takeWave().map(\.piece)
        }

        func isOver(_ now: MonotonicTime) -> Bool {
            now.since(lastSeen) >= Predictor.quiet || now.since(began) >= Predictor.longest
        }
    }

    private enum Event: Sendable {
        case begin(TreeImage, [StoredLayer], TouchLog)
        case configure(ContainerStart)
        case end
    }

    private struct State {
        var events: [(chain: Digest, event: Event)] = []
        /// Something may have become known since the thread looked last.
        var isChanged = false
        var isClosed = false
    }

    private let state = Guarded(State())

    init() {}

    /// A chain has been mounted and no profile says what its container reads.
    public func begin(_ chain: Digest, tree: TreeImage, layers: [StoredLayer], touches: TouchLog) {
        append(chain, .begin(tree, layers, touches))
    }

    /// What the image of `chain` says that it runs. Without effect for a chain that is not followed.
    public func configure(_ chain: Digest, _ start: ContainerStart) {
        append(chain, .configure(start))
    }

    /// The chain is unmounted.
    public func end(_ chain: Digest) {
        append(chain, .end)
    }

    private func append(_ chain: Digest, _ event: Event) {
        state.withLockSignalling { state in
            guard !state.isClosed else { return }
            state.events.append((chain, event))
            state.isChanged = true
        }
    }

    /// Something has been read, or has come.
    func wake() {
        state.withLockSignalling { $0.isChanged = true }
    }

    func close() {
        state.withLockBroadcasting { $0.isClosed = true }
    }

    /// The thread's body: hands what is found to `fetch`, until closed.
    func run(_ fetch: ([ChunkRun]) -> Void) {
        var follows: [Digest: Follow] = [:]
        while true {
            // Once a second it looks for starts that are over; without any, it sleeps until there is one.
            let timeout: UInt64 = follows.isEmpty ? 3_600_000_000_000 : 1_000_000_000
            let isEmpty = follows.isEmpty
            let work = state.waitUntil(timeout: timeout) { state -> (events: [(Digest, Event)], isClosed: Bool)? in
                guard state.isClosed || !state.events.isEmpty || state.isChanged && !isEmpty else { return nil }
                defer { (state.events, state.isChanged) = ([], false) }
                return (state.events.map { ($0.chain, $0.event) }, state.isClosed)
            }
            if work?.isClosed == true { return }
            for (chain, event) in work?.events ?? [] { apply(event, chain, &follows) }
            for chain in Array(follows.keys) {
                let wave = follows[chain]?.proceed() ?? []
                if !wave.isEmpty { fetch(wave) }
                if follows[chain]?.isOver(MonotonicTime.now()) == true { drop(chain, &follows) }
            }
        }
    }

    private func apply(_ event: Event, _ chain: Digest, _ follows: inout [Digest: Follow]) {
        switch event {
        case .begin(let tree, let layers, let touches):
            guard follows.count < Self.maximumStarts else { return }
            drop(chain, &follows)
            follows[chain] = Follow(touches: touches, prediction: StartPrediction(tree: tree, layers: layers))
            // It runs in a reader's way, and only wakes this thread.
            touches.onTouch { [weak self] in self?.wake() }
        case .configure(let start): follows[chain]?.prediction.start(start)
        case .end: drop(chain, &follows)
        }
    }

    private func drop(_ chain: Digest, _ follows: inout [Digest: Follow]) {
        follows.removeValue(forKey: chain)?.touches.onTouch(nil)
    }
}
