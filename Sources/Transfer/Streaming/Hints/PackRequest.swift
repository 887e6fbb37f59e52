import Base
public import Registry

/// A request for a startup pack: one blob with the chunks that a container start is expected to read. The `Images`
/// module sends the request before it attaches the image's layers to the engine. So the round trip for the pack's
/// tables overlaps with opening the layers.
///
/// A ``StartHint`` hands the request to the engine. Releasing the last reference to this object cancels the request.
public final class PackRequest: Sendable {
    public let location: BlobLocation
    /// The size of the pack in bytes, as the streaming artifact states it.
    public let size: UInt64
    private let opening: Task<BlobStream, any Error>

    /// Creates a request and sends it at once.
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

    /// The body of the response. Canceling the waiting task cancels the request.
    ///
    /// - Throws: an error if the request failed, or if the pack does not have the stated ``size``.
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
