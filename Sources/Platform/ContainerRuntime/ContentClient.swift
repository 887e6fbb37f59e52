public import Base
import ContainerdAPI
import GRPCCore
import GRPCNIOTransportHTTP2
import GRPCProtobuf
import SwiftProtobuf

/// A reader of containerd's content store. With it, Rivulet need not download a blob that containerd already has.
public struct ContentClient: Sendable {
    private let socket: String
    private let patience: Duration

    /// Creates a reader.
    ///
    /// - Parameters:
    ///   - socket: the path of containerd's own socket. The reader opens a connection for each blob, because containerd
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
        let bytes: [UInt8]
        do {
            bytes = try await read(digest, in: namespace, maximumSize: maximumSize)
        } catch let error as ContainerRuntimeError {
            throw error
        } catch {
            let isAway = (error as? RPCError)?.code == .unavailable
            throw ContainerRuntimeError(
                isAway ? .unreachable : .failed, "blob \(digest) from containerd at \(socket)", cause: error)
        }
        guard Digest.of(bytes) == digest else {
            throw ContainerRuntimeError(
                .badContent, "containerd at \(socket) sent bytes with another digest for blob \(digest)")
        }
        return bytes
    }

    private func read(_ digest: Digest, in namespace: String, maximumSize: Int) async throws -> [UInt8] {
        var options = CallOptions.defaults
        options.timeout = patience
        options.waitForReady = false
        return try await withGRPCClient(
            transport: HTTP2ClientTransport.Posix(containerRuntime: socket)
        ) { [options] client in
            try await Containerd_Services_Content_V1_Content.Client(wrapping: client).read(
                .with { $0.digest = digest.description }, metadata: ["containerd-namespace": "\(namespace)"],
                options: options
            ) { response in
                var bytes: [UInt8] = []
                for try await piece in response.messages {
                    guard piece.offset == bytes.count, bytes.count + piece.data.count <= maximumSize else {
                        throw ContainerRuntimeError(
                            .badContent,
                            "blob \(digest) from containerd at \(socket): over \(maximumSize) bytes, or a gap")
                    }
                    bytes += piece.data
                }
                return bytes
            }
        }
    }
}
