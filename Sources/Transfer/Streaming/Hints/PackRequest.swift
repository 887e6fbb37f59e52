import Base
public import Registry

/// A request for a startup pack, sent before its layers are attached, so that its tables cost no round trip of their
/// own.
///
/// A ``StartHint`` hands it to the engine. A request that nobody holds any more is cancelled.
public final class PackRequest: Sendable {
    public let location: BlobLocation
    /// The size of the pack in bytes, as the artifact states it.
    public let size: UInt64
    private let opening: Task<BlobStream, any Error>

    /// Sends the request at once.
    public init(_ location: BlobLocation, size: UInt64, from registry: RegistryClient) {
        self.location = location
        self.size = size
        opening = Task {
            guard size <= StartupPack.maximumSize else {
                throw StreamingError(.badPack, "a startup pack of \(size) bytes is too large")
            }
            return try await registry.open(location, .whole, priority: .demand, knownSize: size)
        }
    }

    deinit {
        opening.cancel()
    }

    /// The pack's body. Cancelling the caller cancels the request.
    var body: BlobStream {
        get async throws {
            let stream = try await withTaskCancellationHandler {
                try await opening.value
            } onCancel: {
                opening.cancel()
            }
            guard stream.blobSize == size else {
                throw StreamingError(.badPack, "a startup pack of \(stream.blobSize) bytes, expected \(size)")
            }
            return stream
        }
    }
}
