import Base
import ContainerdAPI
import ContentStore
import GRPCCore
import GRPCNIOTransportHTTP2
import Linux
import Logging
import NodeDatabase
import Snapshotter
import SwiftProtobuf
import TestSupport

typealias API = Containerd_Services_Snapshots_V1_Snapshots
typealias Client = API.Client<HTTP2ClientTransport.Posix>
typealias Info = Containerd_Services_Snapshots_V1_Info
typealias Mount = Containerd_Types_Mount

/// A snapshotter in this process, and a client that is connected to it over a real socket.
struct Harness: Sendable {
    let client: Client
    let state: StateDatabase
    let records: SnapshotRecords
    let remote: FakeRemoteImages
    let clock: ManualClock
    let root: String
    let socket: String

    func prepare(_ key: String, _ parent: String = "", _ labels: [String: String] = [:]) async throws -> [Mount] {
        try await client.prepare(
            .with {
                $0.snapshotter = "rivulet"
                $0.key = key
                $0.parent = parent
                $0.labels = labels
            }
        ).mounts
    }

    func view(_ key: String, _ parent: String = "") async throws -> [Mount] {
        try await client.view(
            .with {
                $0.key = key
                $0.parent = parent
            }
        ).mounts
    }

    func mounts(_ key: String) async throws -> [Mount] {
        try await client.mounts(.with { $0.key = key }).mounts
    }

    func commit(
        _ name: String, _ key: String, _ labels: [String: String] = [:], parent: String = ""
    ) async throws {
        _ = try await client.commit(
            .with {
                $0.name = name
                $0.key = key
                $0.labels = labels
                $0.parent = parent
            })
    }

    func stat(_ key: String) async throws -> Info { try await client.stat(.with { $0.key = key }).info }
    func remove(_ key: String) async throws { _ = try await client.remove(.with { $0.key = key }) }
    func cleanup() async throws { _ = try await client.cleanup(.init()) }

    func usage(_ key: String) async throws -> Containerd_Services_Snapshots_V1_UsageResponse {
        try await client.usage(.with { $0.key = key })
    }

    func update(_ name: String, _ labels: [String: String], mask: [String]? = nil) async throws -> Info {
        try await client.update(
            .with {
                $0.info.name = name
                $0.info.labels = labels
                if let mask { $0.updateMask.paths = mask }
            }
        ).info
    }

    /// Returns the frames of a listing.
    func frames(_ filters: [String] = []) async throws -> [[Info]] {
        try await client.list(.with { $0.filters = filters }) { response in
            var frames: [[Info]] = []
            for try await message in response.messages { frames.append(message.info) }
            return frames
        }
    }

    func names(_ filters: [String] = []) async throws -> [String] {
        try await frames(filters).flatMap { $0 }.map(\.name).sorted()
    }

    /// Creates an empty committed snapshot.
    func layer(_ name: String, on parent: String = "", _ labels: [String: String] = [:]) async throws {
        _ = try await prepare("prepare " + name, parent)
        try await commit(name, "prepare " + name, labels)
    }

    /// Prepares a layer as containerd's unpacker does. Returns the mounts; `nil` if the layer is remote.
    func unpack(
        _ layer: Layer, on parent: String = "", namespace: String = "k8s.io/7"
    ) async throws -> [Mount]? {
        do {
            return try await prepare(layer.key(namespace), parent, layer.labels)
        } catch let error as RPCError where error.code == .alreadyExists {
            return nil
        }
    }

    /// Looks up the snapshot of a layer, as containerd does if the layer exists already.
    func probe(_ layer: Layer, parent: String = "") async throws -> [Info] {
        try await frames([#"labels."containerd.io/snapshot.ref"==\#(layer.chainID),parent=="\#(parent)""#]).flatMap {
            $0
        }
    }
}

/// A layer of an image in a registry.
struct Layer: Sendable {
    var chainID: Digest
    var blob: Digest
    var labels: [String: String]

    init(_ name: String) {
        chainID = Digest.of(Array("chain \(name)".utf8))
        blob = Digest.of(Array("blob \(name)".utf8))
        labels = [
            "containerd.io/snapshot.ref": chainID.description,
            "containerd.io/snapshot/cri.image-ref": "registry.test/app:1",
            "containerd.io/snapshot/cri.manifest-digest": Digest.of(Array("manifest".utf8)).description,
            "containerd.io/snapshot/cri.layer-digest": blob.description,
            "containerd.io/snapshot/cri.image-layers": blob.description,
        ]
    }

    /// Returns the key with which ``FakeRemoteImages`` prepares a layer.
    static func key(_ blob: Digest) -> LayerKey { LayerKey(blob, .tableOfContents(blob, size: 1)) }

    /// Returns the chain of this layer on top of `below`, which are given bottom first.
    func chain(on below: Layer...) -> ChainKey {
        let parent = below.reduce(nil) { ChainKey(parent: $0, layer: Self.key($1.blob)) }
        return ChainKey(parent: parent, layer: Self.key(blob))
    }

    func key(_ namespace: String) -> String { "\(namespace)/extract-123456789-aB_- \(chainID)" }
}

/// Runs `body` against a snapshotter with its state in `root`, which is kept.
func withSnapshotter<Result: Sendable>(
    root: String, limits: SnapshotService.Limits = .init(), remote given: FakeRemoteImages? = nil,
    logger: Logger = .silent, _ body: @escaping @Sendable (Harness) async throws -> Result
) async throws -> Result {
    let remote = given ?? FakeRemoteImages(directory: root + "/trees")
    let clock = ManualClock()
    let state = root + "/state"
    let database = try StateDatabase(root: state)
    let service = try SnapshotService(state: database, remote: remote, limits: limits, logger: logger, clock: clock)
    let socket = root + "/run/snapshotter.sock"
    let server = try SnapshotterServer(service, socket: .path(socket), logger: logger)
    let serving = Task { try await server.run() }
    let outcome: Swift.Result<Result, any Error>
    do {
        let transport = try HTTP2ClientTransport.Posix.http2NIOPosix(
            target: .unixDomainSocket(path: socket, authority: "localhost"), transportSecurity: .plaintext)
        outcome = .success(
            try await withGRPCClient(transport: transport) { client in
                try await body(
                    Harness(
                        client: Client(wrapping: client), state: database, records: SnapshotRecords(database),
                        remote: remote,
                        clock: clock, root: state,
                        socket: socket))
            })
    } catch {
        outcome = .failure(error)
    }
    remote.release()
    serving.cancel()
    try await serving.value
    return try outcome.get()
}

/// Runs `body` against a snapshotter with its state in a temporary directory.
func withSnapshotter<Result: Sendable>(
    limits: SnapshotService.Limits = .init(), logger: Logger = .silent,
    _ body: @escaping @Sendable (Harness) async throws -> Result
) async throws -> Result {
    try await withTemporaryDirectory { directory in
        try await withSnapshotter(root: directory, limits: limits, logger: logger, body)
    }
}

/// Returns the status with which `body` fails; `nil` if it succeeds.
func failure(_ body: () async throws -> Void) async -> RPCError? {
    do {
        try await body()
        return nil
    } catch {
        return error as? RPCError ?? RPCError(code: .unknown, message: "not an RPC error: \(error)")
    }
}
