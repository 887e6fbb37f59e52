import Base
import ContentStore
import Images
import Linux
import NodeDatabase
import Snapshotter

/// Remote images whose outcome the test chooses.
final class FakeRemoteImages: RemoteImages {
    struct MountError: Error {}

    private struct State {
        /// The reason to decline every layer; `nil` to prepare them.
        var refusal: FallbackReason?
        var isHeld = false
        var held: [CheckedContinuation<Void, Never>] = []
        var requests: [RemoteLayerRequest] = []
        var arrivals: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
        var unusable: Set<ChainKey> = []
        /// The number of layers, from the next one on, whose chain is lost as soon as they are prepared.
        var losses = 0
        var forgotten: [ChainKey] = []
        var isMountable = true
        var cancelled = 0
        var expected = 0
        var sweeps = 0
        /// True if layers cannot be deleted.
        var isInUse = false
        /// The reason to admit no container; `nil` to admit all.
        var rejection: FallbackReason?
        var replacement: [RemoteIdentity]?
        var admissions: [AdmissionRequest] = []
    }

    private let state = Guarded(State())
    /// The directory of the chains' trees. Each tree is an empty directory.
    let directory: String

    init(directory: String) {
        self.directory = directory
    }

    /// Declines every layer from now on.
    func decline(_ reason: FallbackReason.Code) { state.withLock { $0.refusal = FallbackReason(reason) } }
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

    func lose(_ chain: ChainKey) { state.withLock { _ = $0.unusable.insert(chain) } }
    /// Loses the chains of the next `count` layers as soon as they are prepared.
    func loseNext(_ count: Int) { state.withLock { $0.losses = count } }
    /// Admits no container from now on.
    func reject(_ reason: FallbackReason.Code) { state.withLock { $0.rejection = FallbackReason(reason, "rejected") } }
    var admissions: [AdmissionRequest] { state.withLock { $0.admissions } }

    /// Replaces the layers of every chain on which a container is created from now on.
    func replace(_ layers: [RemoteIdentity]) { state.withLock { $0.replacement = layers } }

    func admit(_ request: AdmissionRequest) async throws(FallbackReason) -> [RemoteIdentity]? {
        let (rejection, replacement) = state.withLock { state in
            state.admissions.append(request)
            return (state.rejection, state.replacement)
        }
        if let rejection { throw rejection }
        return replacement
    }

    /// Sets whether all layers are in use, so that none can be deleted.
    func use(_ isInUse: Bool) { state.withLock { $0.isInUse = isInUse } }

    func breakMounts() { state.withLock { $0.isMountable = false } }

    var requests: [RemoteLayerRequest] { state.withLock { $0.requests } }
    var forgotten: [ChainKey] { state.withLock { $0.forgotten } }
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
            if let refusal = state.refusal { return .declined(reason: refusal) }
            let layer = Layer.key(request.layerDigest)
            let chain = ChainKey(parent: request.parent, layer: layer)
            state.unusable.remove(chain)
            if state.losses > 0 {
                state.losses -= 1
                state.unusable.insert(chain)
            }
            return .ready(RemoteIdentity(chain: chain, layer: layer), size: 4321, inodes: 12)
        }
    }

    /// The number of calls that announced an image.
    var expected: Int { state.withLock { $0.expected } }

    /// The number of sweeps.
    var sweeps: Int { state.withLock { $0.sweeps } }

    func sweep() async -> Bool {
        state.withLock { state in
            state.sweeps += 1
            return !state.isInUse
        }
    }

    func expectImages() { state.withLock { $0.expected += 1 } }

    func mountedDirectory(ofChain chain: ChainKey) async throws -> String {
        guard state.withLock({ $0.isMountable }) else { throw MountError() }
        let path = directory + "/" + chain.id.hex
        try Sys.makeDirectories(path)
        return path
    }

    func isUsable(_ chain: ChainKey) async -> Bool { state.withLock { !$0.unusable.contains(chain) } }

    func forget(_ chain: ChainKey) async -> Bool {
        state.withLock { state in
            state.forgotten.append(chain)
            return !state.isInUse
        }
    }
}
