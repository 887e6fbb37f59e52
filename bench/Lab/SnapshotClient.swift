public import Base
import ContainerRuntime
public import ContainerdAPI
import GRPCCore
import GRPCNIOTransportHTTP2
import GRPCProtobuf
import Linux
import SwiftProtobuf

/// A client of containerd's snapshots: it mounts images as a container of them would have them.
public final class SnapshotClient: Sendable {
    private typealias Transport = HTTP2ClientTransport.Posix

    private let client: GRPCClient<Transport>
    private let connections: Task<Void, any Error>
    private let snapshots: Containerd_Services_Snapshots_V1_Snapshots.Client<Transport>
    private let snapshotter: String
    private let metadata: Metadata = ["containerd-namespace": "k8s.io"]

    public init(socket: String, snapshotter: String) throws {
        client = GRPCClient(transport: try Transport(containerRuntime: socket))
        connections = Task { [client] in try await client.runConnections() }
        snapshots = Containerd_Services_Snapshots_V1_Snapshots.Client(wrapping: client)
        self.snapshotter = snapshotter
    }

    public func close() async {
        client.beginGracefulShutdown()
        _ = await connections.result
    }

    private var options: CallOptions {
        var options = CallOptions.defaults
        options.timeout = .seconds(60)
        return options
    }

    /// Makes a writable snapshot over the chain `parent` and returns how to mount it.
    public func prepare(_ key: String, parent: Digest) async throws -> [Containerd_Types_Mount] {
        try await snapshots.prepare(
            .with {
                $0.snapshotter = snapshotter
                $0.key = key
                $0.parent = "\(parent)"
                // containerd collects a snapshot that nothing refers to.
                $0.labels = ["containerd.io/gc.root": "2026-01-01T00:00:00Z"]
            }, metadata: metadata, options: options
        ).mounts
    }

    public func remove(_ key: String) async throws {
        _ = try await snapshots.remove(
            .with {
                $0.snapshotter = snapshotter
                $0.key = key
            }, metadata: metadata, options: options)
    }
}
