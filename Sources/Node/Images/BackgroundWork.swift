import Base
import Linux
import NIOCore
package import NIOPosix
package import Registry

/// The threads of work that must not disturb containers. They run only when a processor is idle.
package struct BackgroundThreads: Sendable {
    private let pool: NIOThreadPool

    package init(pool: NIOThreadPool) {
        self.pool = pool
    }

    /// Runs `body` on one of the threads.
    func run<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await pool.runIfActive {
            Sys.makeThreadIdle()
            return try body()
        }
    }
}

/// The repositories that hold a blob, as a source of its bytes for background work.
package struct BlobSource: Sendable {
    private let registry: RegistryClient
    private let repositories: [Repository]

    /// - Parameter repositories: the repositories, in the order in which to try them.
    package init(registry: RegistryClient, repositories: [Repository]) {
        self.registry = registry
        self.repositories = repositories
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
        let stream = try await open(blob, range.map { .range($0) } ?? .whole, size)
        for try await buffer in stream {
            try await threads.run { try buffer.withUnsafeReadableBytes(use) }
        }
    }

    private func open(
        _ blob: Digest, _ selection: BlobSelection, _ size: UInt64?
    ) async throws(RegistryError) -> BlobStream {
        var last = RegistryError(.notFound, "no repository of \(blob) is known")
        for repository in repositories {
            do throws(RegistryError) {
                return try await registry.open(
                    BlobLocation(repository: repository, digest: blob), selection, priority: .background,
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
}
