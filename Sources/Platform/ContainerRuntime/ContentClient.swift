public import Base
import ContainerdAPI
import GRPCCore
import GRPCNIOTransportHTTP2
import GRPCProtobuf

/// A reader of containerd's content store. With it, Rivulet need not download a blob that containerd already has.
public struct ContentClient: Sendable {
    private let socket: String
    private let patience: Duration

    /// Creates a reader.
    ///
    /// - Parameters:
    ///   - socket: the path of containerd's own socket. The reader opens a connection for each call, because containerd
    ///     may restart, or start later than we do.
    ///   - patience: the time limit for reading one blob. If containerd needs longer, a download from a registry is
    ///     faster.
    public init(socket: String, patience: Duration = .seconds(1)) {
        self.socket = socket
        self.patience = patience
    }

    /// Returns the bytes of a blob after verifying their digest. The blob must belong to containerd's namespace
    /// `namespace`.
    ///
    /// - Parameter maximumSize: the largest accepted blob, in bytes.
    /// - Throws: ``ContainerRuntimeErrorCode/badContent`` if the blob is larger than `maximumSize`, is incomplete, or
    ///   has another digest; other codes if the call fails.
    public func blob(
        _ digest: Digest, namespace: String, maximumSize: Int
    ) async throws(ContainerRuntimeError) -> [UInt8] {
        try await connected(namespace: namespace) { session in
            try await session.blob(digest, maximumSize: maximumSize)
        }
    }

    /// Runs `body` with a connection to containerd, for several calls in the namespace `namespace`.
    public func connected<Result: Sendable>(
        namespace: String, _ body: @Sendable (ContentSession) async throws -> Result
    ) async throws(ContainerRuntimeError) -> Result {
        do {
            return try await withGRPCClient(transport: HTTP2ClientTransport.Posix(containerRuntime: socket)) { client in
                try await body(
                    ContentSession(
                        client: Containerd_Services_Content_V1_Content.Client(wrapping: client), socket: socket,
                        namespace: namespace, patience: patience))
            }
        } catch let error as ContainerRuntimeError {
            throw error
        } catch {
            let isAway = (error as? RPCError)?.code == .unavailable
            throw ContainerRuntimeError(isAway ? .unreachable : .failed, "containerd at \(socket)", cause: error)
        }
    }
}
