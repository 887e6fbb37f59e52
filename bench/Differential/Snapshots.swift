import Base
import ContainerdAPI
import GRPCCore
import GRPCNIOTransportHTTP2
import GRPCProtobuf
import Lab
import Linux
import SwiftProtobuf

/// A client of containerd's snapshots: it mounts images as a container of them would have them.
final class Snapshots: Sendable {
    private typealias Transport = HTTP2ClientTransport.Posix

    private let client: GRPCClient<Transport>
    private let connections: Task<Void, any Error>
    private let snapshots: Containerd_Services_Snapshots_V1_Snapshots.Client<Transport>
    private let snapshotter: String
    private let metadata: Metadata = ["containerd-namespace": "k8s.io"]

    init(socket: String, snapshotter: String) throws {
        // The default authority would be the percent-encoded path, which Go's gRPC servers refuse.
        let transport = try Transport(
            target: .unixDomainSocket(path: socket, authority: "localhost"), transportSecurity: .plaintext)
        client = GRPCClient(transport: transport)
        connections = Task { [client] in try await client.runConnections() }
        snapshots = Containerd_Services_Snapshots_V1_Snapshots.Client(wrapping: client)
        self.snapshotter = snapshotter
    }

    func close() async {
        client.beginGracefulShutdown()
        _ = await connections.result
    }

    /// Makes a writable snapshot over the chain `parent` and returns how to mount it.
    func prepare(_ key: String, parent: Digest) async throws -> [Containerd_Types_Mount] {
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

    func remove(_ key: String) async throws {
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

/// A mount that a snapshotter described.
struct SnapshotMount: Sendable {
    let target: String
    /// The read-only directories below, top first.
    let lowers: [String]
    /// True if the overlay gives all files one device number although the layers are on several file systems.
    let hasOneDevice: Bool

    /// Mounts the first of `mounts` at `target`.
    init(_ mounts: [Containerd_Types_Mount], at target: String) throws {
        guard let mount = mounts.first, mounts.count == 1, mount.type == "overlay" else {
            throw LabError(.failed, "unexpected mounts of a snapshot: \(mounts)")
        }
        self.target = target
        hasOneDevice = mount.options.contains("xino=on")
        lowers = mount.options.filter { $0.hasPrefix("lowerdir=") }
            .flatMap { $0.dropFirst("lowerdir=".count).split(separator: ":").map(String.init) }
        try Files.makeDirectory(target)
        try Sys.mount("overlay", on: target, type: "overlay", options: mount.options.joined(separator: ","))
    }

    /// True if everything below comes from one FUSE mount: Rivulet streams the whole image.
    var isStreamed: Bool {
        lowers.count == 1 && lowers.allSatisfy { (try? Sys.statfs($0).kind) == .fuse }
    }

    func unmount() {
        try? Sys.unmount(target, [.noFollow, .detach])
        try? Sys.removeDirectory(target)
    }
}
