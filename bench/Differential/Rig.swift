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
    private let rivulet: ImageClient
    private let oracle: ImageClient
    /// The start of the run, in seconds since 1970.
    private let began: Int64

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
        rivulet = try ImageClient(
            try await Containerd(
                in: lab, name: "c", snapshotter: daemon.name, plugins: [daemon.name: daemon.socket], hosts: hosts))
        oracle = try ImageClient(try await Containerd(in: lab, name: "o", snapshotter: "overlayfs", hosts: hosts))
    }

    func close() async {
        await rivulet.close()
        await oracle.close()
    }

    /// Returns the log lines of layers that the daemon has refused, although all layers are right.
    func refusedLayers() async throws -> [String] {
        guard try await daemon.metrics()["rivulet_refused_layers_total"] != 0 else { return [] }
        return daemon.process.logTail(lines: 100_000).split(separator: "\n").filter {
            $0.contains("is refused from now on")
        }
        .map(String.init)
    }

    /// The outcome of one stack.
    enum Outcome: Sendable {
        case same(FileTree)
        case different([String])
        /// containerd's own pull fails, so there is nothing to compare.
        case refused(String)
        /// Rivulet does not stream the image, for a reason.
        case notStreamed(String)
    }

    /// Publishes `stack`, pulls it both ways and compares the mounts.
    func run(_ stack: Stack) async throws -> Outcome {
        let repository = "d/s\(stack.number)"
        let source = "\(HostsDirectory.registry)/\(repository):t"
        let image = stack.form.isConverted ? "\(HostsDirectory.registry)/\(repository):c" : source
        let layers = await blocking { StackPacker.pack(stack) }
        let store = store
        try await blocking { _ = try store.write(layers, to: repository, tag: "t") }
        do {
            try await oracle.pull(source)
        } catch {
            try? await oracle.remove(source)
            return .refused("\(error)")
        }
        var creation = ""
        if stack.form == .artifact || stack.form.isConverted {
            let local = "127.0.0.1:\(registry.port)/\(repository)"
            var arguments = [
                try Repository.product("rivulet"), "artifact-streaming", "create", "--image", "\(local):t",
            ]
            switch stack.form {
            case .toEstargz: arguments += ["--format", "estargz", "--target", "\(local):c", "--scratch", lab.directory]
            case .toZstdChunked:
                arguments += ["--format", "zstd:chunked", "--target", "\(local):c", "--scratch", lab.directory]
            default: arguments.append("--no-pack")
            }
            let made = try await Command.attempt(arguments, in: lab, timeout: 60)
            if made.exit != .code(0) { creation = Files.tail(made.logPath, lines: 3) }
            for path in [made.outputPath, made.logPath] { try? Sys.unlink(path) }
        }
        let wrong = try await blocking { try layers.compactMap(IndexCheck.difference) }
        let outcome: Outcome
        do {
            if stack.form.isConverted {
                guard creation.isEmpty else { return .notStreamed(creation) }
                try await oracle.pull(image)
            }
            guard let chain = try await oracle.chain(of: image) else {
                throw LabError(.failed, "containerd does not say which chain \(image) has")
            }
            try await rivulet.pull(image)
            let found = try await compare(stack, chain, creation)
            outcome = wrong.isEmpty ? found : .different(wrong)
        } catch {
            outcome = .different(["the pull with Rivulet fails: \(error) \(creation)"])
        }
        try? await oracle.remove(source)
        try? await oracle.remove(image)
        try? await rivulet.remove(image)
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
            var options = FileTree.Options(comparesDevices: right.hasOneDevice)
            if stack.form.hasTable {
                options.hiddenNames = ["/stargz.index.json", "/.prefetch.landmark", "/.no.prefetch.landmark"]
            }
            let expected = try FileTree(of: left.target, began: began, options)
            let differences = try FileTree(of: right.target, began: began, options).differences(from: expected)
            return differences.isEmpty ? .same(expected) : .different(differences)
        }
        try await oracle.snapshots.remove(key)
        try await rivulet.snapshots.remove(key)
        if case .notStreamed(let why) = outcome, why.isEmpty {
            return .notStreamed(
                daemon.process.logTail(lines: 200).split(separator: "\n")
                    .last { $0.contains("d/s\(stack.number):") && $0.contains("pull") }.map(String.init) ?? "unknown")
        }
        return outcome
    }
}
