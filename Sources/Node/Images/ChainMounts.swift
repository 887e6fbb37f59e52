import Base
import Concurrency
import ContentStore
import LayerIndex
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
        case down(Task<Bool, Never>)
    }

    private let steps = Guarded<[ChainKey: Step]>([:])
    private let assembly: ChainAssembly
    private let workers: NIOThreadPool
    private let bounds: OpeningBounds
    private let mountPoint: String
    /// The callback that runs after each mount, with the chain's layers.
    private let afterMount: @Sendable ([StoredLayer]) -> Void
    private let logger: Logger

    init(
        assembly: ChainAssembly, workers: NIOThreadPool, bounds: OpeningBounds, mountPoint: String, logger: Logger,
        afterMount: @escaping @Sendable ([StoredLayer]) -> Void
    ) {
        self.assembly = assembly
        self.workers = workers
        self.bounds = bounds
        self.mountPoint = mountPoint
        self.afterMount = afterMount
        self.logger = logger
    }

    /// Mounts `chain` unless it is mounted, and returns the host path of its merged tree.
    ///
    /// When the function returns, the file system can serve the tree.
    func bringUp(_ chain: ChainKey) async throws -> String {
        let task = steps.withLock { steps -> Task<Void, any Error> in
            var previous: Task<Bool, Never>?
            switch steps[chain] {
            case .up(let task): return task
            case .down(let task): previous = task
            case nil: break
            }
            let task = Task { [previous] in
                _ = await previous?.value
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
        return "\(mountPoint)/\(chain.id.hex)"
    }

    private func assemble(_ chain: ChainKey) async throws {
        let (workers, assembly) = (workers, assembly)
        let found = try await workers.runIfActive { try assembly.find(chain) }
        let tree: TreeImage
        if let stored = found.tree {
            tree = stored
        } else {
            tree = try await merge(found)
        }
        try await workers.runIfActive { try assembly.mount(found, tree: tree) }
        afterMount(found.contents)
    }

    /// Merges the trees of the chain's layers, and stores the result.
    private func merge(_ chain: ChainAssembly.Found) async throws -> TreeImage {
        do {
            let need = try await workers.runIfActive { [bounds] in
                try bounds.mergeMemory(of: chain.contents.map(\.tree))
            }
            let memory = try await bounds.memory.reserve(
                // A chain that needs more than everything is merged alone.
                least: min(need, bounds.memory.total), most: need, for: .merging, of: "chain \(chain.key)")
            defer { memory.release() }
            return try await bounds.merging.withPermit { [workers, assembly, bounds] in
                try await workers.runIfActive { try assembly.merge(chain, by: bounds.deadline(bounds.mergeLimit)) }
            }
        } catch let error as LayerIndexError where error.code == .deadline || error.code == .limit {
            throw FallbackReason(.limit, "chain \(chain.key): \(error)")
        }
    }

    /// Unmounts `chain`, and deletes its merged tree and the layers that no other chain contains. Does nothing if a
    /// snapshot or a chain above still needs the chain.
    ///
    /// - Returns: false if the deletion failed, which is logged, or if a layer is still in use.
    func forget(_ chain: ChainKey) async -> Bool {
        let task = steps.withLock { steps -> Task<Bool, Never> in
            let previous = steps[chain]
            let task = Task {
                switch previous {
                case .up(let task): _ = try? await task.value
                case .down(let task): _ = await task.value
                case nil: break
                }
                return await self.disassemble(chain)
            }
            steps[chain] = .down(task)
            return task
        }
        let isDeleted = await task.value
        steps.withLock { steps in
            if case .down(let last) = steps[chain], last == task { steps[chain] = nil }
        }
        return isDeleted
    }

    private func disassemble(_ chain: ChainKey) async -> Bool {
        do {
            try await workers.runIfActive { [assembly] in try assembly.disassemble(chain) }
            return true
        } catch {
            logger.warning("failed to delete a chain", metadata: ["chain": "\(chain)", "error": "\(error)"])
            return false
        }
    }

    /// Deletes unused merged trees and layers (``ChainAssembly/deleteLeftovers(unless:)``). Logs a failure. Returns
    /// false if something is left.
    func deleteLeftovers(unless isNeeded: @escaping @Sendable (LayerKey) -> Bool) async -> Bool {
        do {
            let (count, isInUse) = try await workers.runIfActive { [assembly] in
                try assembly.deleteLeftovers(unless: isNeeded)
            }
            if count > 0 { logger.info("deleted layers and trees that nothing uses", metadata: ["count": "\(count)"]) }
            return !isInUse
        } catch {
            logger.warning("failed to delete what nothing uses", metadata: ["error": "\(error)"])
            return false
        }
    }
}
