import Base
import ContainerRuntime
import Foundation
import Lab
import Linux

/// The real parts of a run: a registry, a containerd with Rivulet, and a second containerd as the oracle.
final class Rig: Sendable {
    let lab: Lab
    let store: ImageStore
    private let registry: RegistryServer
    private let daemon: RivuletDaemon
    private let rivulet: Side
    private let oracle: Side
    /// The start of the run, in seconds since 1970.
    private let began: Int64

    /// A containerd with its clients.
    private struct Side: Sendable {
        let name: String
        let containerd: Containerd
        let images: CRIClient
        let snapshots: Snapshots

        init(_ name: String, _ containerd: Containerd) throws {
            self.name = name
            self.containerd = containerd
            images = try containerd.connect()
            snapshots = try Snapshots(socket: containerd.socket, snapshotter: containerd.snapshotter)
        }

        func close() async {
            await images.close()
            await snapshots.close()
        }
    }

    init(in lab: Lab) async throws {
        self.lab = lab
        began = Int64(Date().timeIntervalSince1970)
        let storage = "\(lab.directory)/registry"
        store = ImageStore(storage: storage)
        registry = try await RegistryServer(in: lab, storage: storage)
        let hosts = "\(lab.directory)/hosts"
        try HostsDirectory.write(hosts, port: registry.port)
        let socket = Containerd.socket(in: lab, name: "c")
        daemon = try await RivuletDaemon(
            in: lab, directory: "r", containerd: socket, hosts: hosts,
            options: "[streaming]\nbackground_fill = false\n")
        rivulet = try Side(
            "c",
            try await Containerd(
                in: lab, name: "c", snapshotter: daemon.name, plugins: [daemon.name: daemon.socket], hosts: hosts))
        oracle = try Side("o", try await Containerd(in: lab, name: "o", snapshotter: "overlayfs", hosts: hosts))
    }

    func close() async {
        await rivulet.close()
        await oracle.close()
    }

    /// The outcome of one stack.
    enum Outcome: Sendable {
        case same(files: Int, unpackedTimes: Int)
        case different([String])
        /// containerd's own pull fails, so there is nothing to compare.
        case refused(String)
        /// Rivulet does not stream the image, for a reason.
        case notStreamed(String)
    }

    /// Publishes `stack`, pulls it both ways and compares the mounts.
    func run(_ stack: Stack) async throws -> Outcome {
        let repository = "d/s\(stack.number)"
        let image = "\(HostsDirectory.registry)/\(repository):t"
        let layers = await blocking { StackPacker.pack(stack) }
        let store = store
        try await blocking { _ = try store.write(layers, to: repository, tag: "t") }
        do {
            _ = try await oracle.images.pull(image, seconds: 60)
        } catch {
            try? await oracle.images.removeImage(image)
            return .refused("\(error)")
        }
        var creation = ""
        if stack.form == .artifact {
            let arguments = [
                try Repository.product("rivulet"), "artifact-streaming", "create", "--no-pack", "--image",
                "127.0.0.1:\(registry.port)/\(repository):t",
            ]
            let made = try await Command.attempt(arguments, in: lab, timeout: 60)
            if made.exit != .code(0) { creation = Files.tail(made.logPath, lines: 3) }
            for path in [made.outputPath, made.logPath] { try? Sys.unlink(path) }
        }
        let chain = Self.chain(layers)
        let outcome: Outcome
        do {
            _ = try await rivulet.images.pull(image, seconds: 60)
            outcome = try await compare(stack, chain, creation)
        } catch {
            outcome = .different(["the pull with Rivulet fails: \(error) \(creation)"])
        }
        try? await oracle.images.removeImage(image)
        try? await rivulet.images.removeImage(image)
        return outcome
    }

    private func compare(_ stack: Stack, _ chain: Digest, _ creation: String) async throws -> Outcome {
        let key = "stack-\(stack.number)"
        let began = began
        let mounts = [
            try await oracle.snapshots.prepare(key, parent: chain),
            try await rivulet.snapshots.prepare(key, parent: chain),
        ]
        let targets = ["\(lab.directory)/m/\(stack.number)-o", "\(lab.directory)/m/\(stack.number)-r"]
        let outcome = try await blocking { () throws -> Outcome in
            let left = try SnapshotMount(mounts[0], at: targets[0])
            defer { left.unmount() }
            let right = try SnapshotMount(mounts[1], at: targets[1])
            defer { right.unmount() }
            guard right.isStreamed else { return .notStreamed(creation) }
            let expected = try FileTree(of: left.target, began: began)
            let differences = try FileTree(of: right.target, began: began).differences(from: expected)
            return differences.isEmpty
                ? .same(files: expected.files.count, unpackedTimes: expected.unpackedTimes) : .different(differences)
        }
        try await oracle.snapshots.remove(key)
        try await rivulet.snapshots.remove(key)
        if case .notStreamed(let why) = outcome, why.isEmpty {
            return .notStreamed(daemon.process.logTail(lines: 200).split(separator: "\n")
                .last { $0.contains("d/s\(stack.number):") && $0.contains("pull") }.map(String.init) ?? "unknown")
        }
        return outcome
    }

    /// Returns the chain ID of all layers (OCI image-spec, config.md, "Layer ChainID").
    private static func chain(_ layers: [ImageStore.Layer]) -> Digest {
        var chain = layers[0].diffID
        for layer in layers.dropFirst() { chain = Digest.of(Array("\(chain) \(layer.diffID)".utf8)) }
        return chain
    }
}
