public import Base
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
        // The default authority would be the percent-encoded path, which Go's gRPC servers refuse.
        let transport = try Transport(
            target: .unixDomainSocket(path: socket, authority: "localhost"), transportSecurity: .plaintext)
        client = GRPCClient(transport: transport)
        connections = Task { [client] in try await client.runConnections() }
        snapshots = Containerd_Services_Snapshots_V1_Snapshots.Client(wrapping: client)
        self.snapshotter = snapshotter
    }

    public func close() async {
        client.beginGracefulShutdown()
        _ = await connections.result
    }

    /// Makes a writable snapshot over the chain `parent` and returns how to mount it.
    public func prepare(_ key: String, parent: Digest) async throws -> [Containerd_Types_Mount] {
        try await repeated { [self] options in
            do {
                return try await snapshots.prepare(
                    .with {
                        $0.snapshotter = snapshotter
                        $0.key = key
                        $0.parent = "\(parent)"
                        // containerd collects a snapshot that nothing refers to.
                        $0.labels = ["containerd.io/gc.root": "2026-01-01T00:00:00Z"]
                    }, metadata: metadata, options: options
                ).mounts
            } catch let error as RPCError where error.message.contains("already exists") {
                // The connection closed after the call. containerd passes a proxy's error on as an unknown one.
                return try await snapshots.mounts(
                    .with {
                        $0.snapshotter = snapshotter
                        $0.key = key
                    }, metadata: metadata, options: options
                ).mounts
            }
        }
    }

    public func remove(_ key: String) async throws {
        try await repeated { [self] options in
            do {
                _ = try await snapshots.remove(
                    .with {
                        $0.snapshotter = snapshotter
                        $0.key = key
                    }, metadata: metadata, options: options)
            } catch let error as RPCError where error.code == .notFound {}
        }
    }

    /// Repeats a call if the connection closes: see `CRIClient`.
    private func repeated<Result: Sendable>(_ body: (CallOptions) async throws -> Result) async throws -> Result {
        var options = CallOptions.defaults
        options.timeout = .seconds(60)
        var tries = 0
        while true {
            do {
                return try await body(options)
            } catch let error as RPCError where error.code == .unavailable && tries < 20 {
                tries += 1
                try await Task.sleep(for: .milliseconds(50))
            }
        }
    }
}
