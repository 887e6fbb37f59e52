import Base
import LayerFormats
import NIOCore
package import NIOPosix
package import Registry

extension RegistryClient {
    /// Reads a whole blob in order, and passes each piece of it to `use` on a thread of `workers`.
    ///
    /// - Parameters:
    ///   - read: called with the size in bytes of each piece, after `use` has handled it.
    ///   - use: receives the pieces, one at a time. Their bytes are valid only during the call.
    package func readWhole(
        _ blob: Descriptor, in repository: Repository, on workers: NIOThreadPool,
        read: @Sendable (Int) -> Void = { _ in },
        use: @escaping @Sendable (UnsafeRawBufferPointer) throws -> Void
    ) async throws {
        let stream = try await open(
            BlobLocation(repository: repository, digest: blob.digest), .whole, priority: .background,
            knownSize: blob.size)
        for try await buffer in stream {
            try await workers.runIfActive { try buffer.withUnsafeReadableBytes(use) }
            read(buffer.readableBytes)
        }
    }
}
