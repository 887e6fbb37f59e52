import Base
import Concurrency
import ContentStore
import Logging
import NIOPosix
import Registry
import Streaming

/// The chains that are mounted in the file system. For each chain, mounting and unmounting run one after the other.
///
/// A chain is mounted once, no matter how many callers request it. It stays mounted until ``forget(_:)``.
final class ChainMounts: Sendable {
    /// The latest step of one chain, either mounting or unmounting. Each step waits for the one before it.
    private enum Step {
        case up(Task<Void, any Error>)
        case down(Task<Void, Never>)
    }

    private let steps = Guarded<[Digest: Step]>([:])
    private let assembly: ChainAssembly
    private let workers: NIOThreadPool
    private let building: AsyncSemaphore
    private let mountPoint: String
    /// The callback that runs after each mount, with the chain's layers.
    private let afterMount: @Sendable ([StoredLayer]) -> Void
    private let logger: Logger

    init(
        assembly: ChainAssembly, workers: NIOThreadPool, building: AsyncSemaphore, mountPoint: String, logger: Logger,
        afterMount: @escaping @Sendable ([StoredLayer]) -> Void
    ) {
        self.assembly = assembly
        self.workers = workers
        self.building = building
        self.mountPoint = mountPoint
        self.afterMount = afterMount
        self.logger = logger
    }

    /// Mounts `chain` unless it is mounted, and returns the host path of its merged tree.
    ///
    /// When the function returns, the file system can serve the tree.
    func bringUp(_ chain: Digest) async throws -> String {
        let task = steps.withLock { steps -> Task<Void, any Error> in
            var previous: Task<Void, Never>?
            switch steps[chain] {
            case .up(let task): return task
            case .down(let task): previous = task
            case nil: break
            }
            let task = Task { [previous] in
                await previous?.value
                try await self.assemble(chain)
            }
            steps[chain] = .up(task)
            return task
        }
        do {
            try await task.value
        } catch {
            // Remove the failed step, so that the next call tries again.
            steps.withLock { steps in
                if case .up(let last) = steps[chain], last == task { steps[chain] = nil }
            }
            throw error
        }
        return "\(mountPoint)/\(chain.hex)"
    }

    private func assemble(_ chain: Digest) async throws {
        let contents = try await building.withPermit { [workers, assembly] in
            try await workers.runIfActive { try assembly.assemble(chain) }
        }
        afterMount(contents)
    }

    /// Unmounts `chain`, and deletes its record, its merged tree, and its top layer. Keeps the layer if another chain
    /// uses it. Logs a failure instead of throwing it.
    func forget(_ chain: Digest) async {
        let task = steps.withLock { steps -> Task<Void, Never> in
            let previous = steps[chain]
            let task = Task {
                switch previous {
                case .up(let task): _ = try? await task.value
                case .down(let task): await task.value
                case nil: break
                }
                await self.disassemble(chain)
            }
            steps[chain] = .down(task)
            return task
        }
        await task.value
        steps.withLock { steps in
            if case .down(let last) = steps[chain], last == task { steps[chain] = nil }
        }
    }

    private func disassemble(_ chain: Digest) async {
        do {
            try await workers.runIfActive { [assembly] in try assembly.disassemble(chain) }
        } catch {
            logger.warning("failed to delete a chain", metadata: ["chain": "\(chain)", "error": "\(error)"])
        }
    }
}
