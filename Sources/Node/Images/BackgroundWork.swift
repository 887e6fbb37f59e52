import Base
package import Concurrency
import Linux
import NIOCore
package import NIOPosix
package import Registry

/// The threads of work that must not disturb containers. They run only when a processor is idle. Work that becomes
/// urgent continues on ordinary threads.
///
/// A thread that waits for a processor keeps its locks. So the work takes no lock here that anything else waits for: it
/// opens layers and uses the database on ordinary threads.
package struct BackgroundThreads: Sendable {
    private let idle: NIOThreadPool
    private let ordinary: NIOThreadPool?
    private let urgency: OneShot<Void>?

    package init(pool: NIOThreadPool) {
        idle = pool
        ordinary = nil
        urgency = nil
    }

    /// - Parameter urgency: the signal that somebody waits for the work.
    init(idle: NIOThreadPool, ordinary: NIOThreadPool, urgency: OneShot<Void>) {
        self.idle = idle
        self.ordinary = ordinary
        self.urgency = urgency
    }

    /// Runs `body` on one of the threads.
    func run<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
        if let ordinary, urgency?.current != nil { return try await ordinary.runIfActive(body) }
        return try await idle.runIfActive {
            Sys.makeThreadIdle()
            return try body()
        }
    }
}

/// The repositories that hold a blob, as a source of its bytes for background work.
package struct BlobSource: Sendable {
    private let registry: RegistryClient
    private let repositories: [Repository]
    private let priority: RequestPriority
    private let pace: Pace?

    /// - Parameter repositories: the repositories, in the order in which to try them.
    package init(registry: RegistryClient, repositories: [Repository]) {
        self.init(registry: registry, repositories: repositories, priority: .background, pace: nil)
    }

    /// - Parameters:
    ///   - repositories: the repositories, in the order in which to try them.
    ///   - pace: receives the times at which bytes arrive; `nil` if nobody looks at them.
    init(registry: RegistryClient, repositories: [Repository], priority: RequestPriority, pace: Pace?) {
        self.registry = registry
        self.repositories = repositories
        self.priority = priority
        self.pace = pace
    }

    /// Reads a range of a blob in order, and passes its pieces to `use` on one of `threads`. If a repository does not
    /// begin to answer, tries the next one.
    ///
    /// - Parameters:
    ///   - range: `nil` for the whole blob.
    ///   - size: the size of the blob in bytes; `nil` if unknown.
    ///   - use: receives the pieces, one at a time. Their bytes are valid only during the call.
    func read(
        _ blob: Digest, _ range: ByteRange?, of size: UInt64?, on threads: BackgroundThreads,
        use: @escaping @Sendable (UnsafeRawBufferPointer) throws -> Void
    ) async throws {
        pace?.beginWaiting(isNew: true)
        defer { pace?.endWaiting(bytes: 0) }
        let stream = try await open(blob, range.map { .range($0) } ?? .whole, size)
        for try await buffer in stream {
            pace?.endWaiting(bytes: UInt64(buffer.readableBytes))
            try await threads.run { try buffer.withUnsafeReadableBytes(use) }
            pace?.beginWaiting()
        }
    }

    private func open(
        _ blob: Digest, _ selection: BlobSelection, _ size: UInt64?
    ) async throws(RegistryError) -> BlobStream {
        var last = RegistryError(.notFound, "no repository of \(blob) is known")
        for repository in repositories {
            do throws(RegistryError) {
                return try await registry.open(
                    BlobLocation(repository: repository, digest: blob), selection, priority: priority,
                    knownSize: size)
            } catch {
                switch error.code {
                case .cancelled, .shutDown: throw error
                default: last = error
                }
            }
        }
        throw last
    }

    /// The pace at which registries send the bytes of one piece of work. Only the time spent waiting for them counts.
    package final class Pace: Sendable {
        private struct State {
            var waited = Duration.zero
            var waitsSince: MonotonicTime?
            var requests = 0
            var bytes: UInt64 = 0
        }

        /// The time that a registry may take for a request, beside that for its bytes.
        private static let latency = Duration.milliseconds(250)

        private let state = Guarded(State())
        private let clock: any TimeSource

        package init(clock: any TimeSource) {
            self.clock = clock
        }

        /// - Parameter isNew: true if the work sends a request, false if it waits for further bytes.
        package func beginWaiting(isNew: Bool = false) {
            let now = clock.now
            state.withLock { state in
                state.waitsSince = now
                if isNew { state.requests += 1 }
            }
        }

        package func endWaiting(bytes: UInt64) {
            let now = clock.now
            state.withLock { state in
                if let since = state.waitsSince { state.waited += since.duration(to: now) }
                state.waitsSince = nil
                state.bytes &+= bytes
            }
        }

        /// Returns true if the bytes so far took longer than `grace`, the requests, and what the bytes would take at
        /// `rate` bytes a second.
        package func isBelow(rate: UInt64, after grace: Duration) -> Bool {
            let now = clock.now
            return state.withLock { state in
                let waited = state.waited + (state.waitsSince.map { $0.duration(to: now) } ?? .zero)
                return waited
                    > grace + Self.latency * state.requests + .seconds(Int64(clamping: state.bytes / max(1, rate)))
            }
        }
    }
}
