import Base
import Images
import Linux
import Snapshotter

/// Remote images whose outcome the test chooses.
final class FakeRemoteImages: RemoteImages {
    struct MountError: Error {}

    private struct State {
        var outcome = RemoteLayerOutcome.ready(size: 4321, inodes: 12)
        var isHeld = false
        var held: [CheckedContinuation<Void, Never>] = []
        var requests: [RemoteLayerRequest] = []
        var arrivals: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
        var unusable: Set<Digest> = []
        var forgotten: [Digest] = []
        var isMountable = true
        var cancelled = 0
        var expected = 0
    }

    private let state = Guarded(State())
    /// The directory of the chains' trees. Each tree is an empty directory.
    let directory: String

    init(directory: String) {
        self.directory = directory
    }

    /// Sets the outcome of every layer that is prepared from now on.
    func answer(_ outcome: RemoteLayerOutcome) { state.withLock { $0.outcome = outcome } }
    /// Makes every layer that is requested from now on wait for ``release()``.
    func hold() { state.withLock { $0.isHeld = true } }

    func release() {
        let held = state.withLock { state in
            state.isHeld = false
            defer { state.held = [] }
            return state.held
        }
        for continuation in held { continuation.resume() }
    }

    func lose(_ chainID: Digest) { state.withLock { _ = $0.unusable.insert(chainID) } }
    func breakMounts() { state.withLock { $0.isMountable = false } }

    var requests: [RemoteLayerRequest] { state.withLock { $0.requests } }
    var forgotten: [Digest] { state.withLock { $0.forgotten } }
    var cancelled: Int { state.withLock { $0.cancelled } }

    /// Waits until containerd has requested `count` layers.
    func untilAsked(_ count: Int) async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let isThere = state.withLock { state -> Bool in
                if state.requests.count >= count { return true }
                state.arrivals.append((count, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }

    func prepareLayer(_ request: RemoteLayerRequest) async -> RemoteLayerOutcome {
        let arrived = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            state.requests.append(request)
            let count = state.requests.count
            let arrived = state.arrivals.filter { $0.count <= count }.map(\.continuation)
            state.arrivals.removeAll { $0.count <= count }
            return arrived
        }
        for continuation in arrived { continuation.resume() }
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let isHeld = state.withLock { state -> Bool in
                if state.isHeld { state.held.append(continuation) }
                return state.isHeld
            }
            if !isHeld { continuation.resume() }
        }
        if Task.isCancelled { state.withLock { $0.cancelled += 1 } }
        return state.withLock { state in
            if case .ready = state.outcome { state.unusable.remove(request.chainID) }
            return state.outcome
        }
    }

    /// The number of calls that announced an image.
    var expected: Int { state.withLock { $0.expected } }

    func expectImages() { state.withLock { $0.expected += 1 } }

    func mountedDirectory(ofChain chainID: Digest) async throws -> String {
        guard state.withLock({ $0.isMountable }) else { throw MountError() }
        let path = directory + "/" + chainID.hex
        try Sys.makeDirectories(path)
        return path
    }

    func isUsable(chainID: Digest) async -> Bool { state.withLock { !$0.unusable.contains(chainID) } }
    func forget(chainID: Digest) async { state.withLock { $0.forgotten.append(chainID) } }
}
