public import Base
public import ContainerRuntime

/// A cluster node from an image's point of view: containerd with a snapshotter, and a counted link to the registry.
///
/// Two nodes share only the registry.
public final class Node: Sendable {
    public let relay: Relay
    public let containerd: Containerd
    /// The snapshotter's daemon; `nil` for containerd's own overlayfs.
    public let daemon: (any SnapshotterDaemon)?
    /// The `hosts.toml` directory that all parts of the node use.
    public let hosts: String
    public let client: CRIClient
    private let teardown: Teardown

    /// The snapshotter that provides a node's root file systems.
    public enum Snapshotter: Sendable {
        /// containerd's own overlayfs.
        case overlayfs
        /// rivuletd, or another program of this package that behaves like it. `options` are additional lines of its
        /// configuration.
        ///
        /// If `readsContainerd` is true, the daemon may read containerd's content.
        case rivulet(options: String, readsContainerd: Bool = true, program: String = "rivuletd")
        /// stargz-snapshotter's daemon, whose program is at this path.
        case stargz(program: String)
    }

    /// Starts a node in directories of `lab` whose names begin with `name`.
    public init(
        _ name: String, in lab: Lab, snapshotter: Snapshotter, registry: RegistryServer,
        pauseArchive: String
    ) async throws(LabError) {
        teardown = try lab.teardown.nested(name)
        do throws(LabError) {
            relay = try await Relay(to: registry.port, teardown: teardown)
            hosts = "\(lab.directory)/\(name)/hosts"
            try HostsDirectory.write(hosts, port: relay.port)
            switch snapshotter {
            case .overlayfs:
                daemon = nil
            case .rivulet(let options, let readsContainerd, let program):
                daemon = try await RivuletDaemon(
                    in: lab, directory: "\(name)/r",
                    containerd: readsContainerd ? Containerd.socket(in: lab, name: "\(name)/c") : nil,
                    containerdRoot: Containerd.root(in: lab, name: "\(name)/c"), hosts: hosts, options: options,
                    program: program, teardown: teardown)
            case .stargz(let program):
                daemon = try await StargzDaemon(
                    program: program, in: lab, directory: "\(name)/s", hosts: hosts, teardown: teardown)
            }
            containerd = try await Containerd(
                in: lab, name: "\(name)/c", snapshotter: daemon?.name ?? "overlayfs",
                plugins: daemon.map { [$0.name: $0.socket] } ?? [:], hosts: hosts, teardown: teardown)
            client = try containerd.connect()
            try await containerd.importImage(pauseArchive)
            let isReady: Bool
            do {
                isReady = try await client.runtimeIsReady()
            } catch {
                throw LabError(runtime: error)
            }
            guard isReady else {
                throw LabError(.failed, "containerd's CRI is not ready\n\(containerd.process.logTail())")
            }
        } catch {
            let teardown = teardown
            await blocking { teardown.run() }
            throw error
        }
    }

    /// Stops the node with all its parts.
    public func stop() async {
        await client.close()
        await blocking { [teardown] in teardown.run() }
    }

    /// Runs `body` with a node, and stops the node in any case. An error includes the end of the daemon's log.
    public static func with<Result: Sendable>(
        _ name: String, in lab: Lab, snapshotter: Snapshotter, registry: RegistryServer,
        pauseArchive: String, _ body: @Sendable (Node) async throws -> Result
    ) async throws -> Result {
        let node = try await Node(
            name, in: lab, snapshotter: snapshotter, registry: registry, pauseArchive: pauseArchive)
        let outcome: Swift.Result<Result, any Error>
        do {
            outcome = .success(try await body(node))
        } catch {
            let log = (node.daemon?.process ?? node.containerd.process).logTail(lines: 30)
            outcome = .failure(LabError(.failed, "\(name): \(error)\n\(log)"))
        }
        await node.stop()
        return try outcome.get()
    }
}

extension Node {
    /// Waits until containerd has reconnected to a restarted snapshotter. containerd's client backs off between
    /// attempts.
    public func waitForSnapshotter(seconds: UInt64 = 30) async throws(LabError) {
        let deadline = MonotonicTime.now().advanced(by: seconds * 1_000_000_000)
        while true {
            do throws(LabError) {
                try await containerd.ctr(["snapshots", "--snapshotter", daemon?.name ?? "overlayfs", "list"])
                return
            } catch {
                guard MonotonicTime.now() < deadline else { throw error }
            }
            // Each attempt has already started a program, so a short wait is enough.
            try? await Task.sleep(for: .milliseconds(100))
        }
    }

    /// Mounts the root file system of a container of `image` as containerd would, and runs `body` with its directory.
    ///
    /// The image must have been pulled.
    public func withRootFileSystem(
        of image: String, in lab: Lab, namespace: String = "k8s.io", _ body: @Sendable (String) async throws -> Void
    ) async throws {
        let name = "rootfs"
        let snapshotter = daemon?.name ?? "overlayfs"
        let target = "\(lab.directory)/mnt"
        try Files.makeDirectory(target)
        try await containerd.ctr(
            ["containers", "create", "--snapshotter", snapshotter, image, name], namespace: namespace)
        let line = try await containerd.ctr(
            ["snapshots", "--snapshotter", snapshotter, "mounts", target, name], namespace: namespace)
        try await Command.run(line.split(whereSeparator: \.isWhitespace).map(String.init), in: lab)
        let outcome: Result<Void, any Error>
        do {
            outcome = .success(try await body(target))
        } catch {
            outcome = .failure(error)
        }
        try await Command.run(["umount", target], in: lab)
        try await containerd.ctr(["containers", "rm", name], namespace: namespace)
        try outcome.get()
    }
}
