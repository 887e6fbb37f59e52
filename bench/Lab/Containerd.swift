public import Base
public import ContainerRuntime
import Linux

/// A private containerd with CRI. Its sockets, root, state and runc data are all in one directory of the lab.
public final class Containerd: Sendable {
    public let socket: String
    /// containerd's root; `state` is beside it.
    public let root: String
    /// The name of the snapshotter that CRI uses.
    public let snapshotter: String
    public let process: ChildProcess
    private let lab: Lab

    /// Returns the path of the socket of an instance in `<lab>/<name>`, which need not exist yet.
    public static func socket(in lab: Lab, name: String) -> String { "\(lab.directory)/\(name)/containerd.sock" }

    /// Returns the root of the instance that is or will be in `<lab>/<name>`.
    public static func root(in lab: Lab, name: String) -> String { "\(lab.directory)/\(name)/root" }

    /// Starts an instance in `<lab>/<name>`.
    /// - Parameters:
    ///   - snapshotter: the snapshotter that CRI uses: `overlayfs`, or a name in `plugins`.
    ///   - plugins: the proxy snapshotters, by name, with their sockets.
    ///   - hosts: a directory of `hosts.toml` files.
    ///   - sandboxImage: the image of sandboxes, which must be imported before the first pod runs.
    public init(
        in lab: Lab, name: String = "c", snapshotter: String, plugins: [String: String] = [:], hosts: String,
        sandboxImage: String = PauseImage.reference, teardown: Teardown? = nil
    ) async throws(LabError) {
        let base = "\(lab.directory)/\(name)"
        self.lab = lab
        self.snapshotter = snapshotter
        root = Self.root(in: lab, name: name)
        socket = Self.socket(in: lab, name: name)
        var text = """
            version = 2
            root = "\(root)"
            state = "\(base)/state"
            disabled_plugins = ["io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp",
              "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
              "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]

            [grpc]
              address = "\(socket)"
            [ttrpc]
              address = "\(socket).ttrpc"
            [debug]
              level = "info"

            [plugins."io.containerd.internal.v1.opt"]
              path = "\(base)/opt"
            [plugins."io.containerd.grpc.v1.cri"]
              sandbox_image = "\(sandboxImage)"
              # Also works where the capability to lower an OOM score is missing.
              restrict_oom_score_adj = true
              disable_apparmor = true
              [plugins."io.containerd.grpc.v1.cri".cni]
                bin_dir = "\(base)/cni/bin"
                conf_dir = "\(base)/cni/conf"
              [plugins."io.containerd.grpc.v1.cri".registry]
                config_path = "\(hosts)"
              [plugins."io.containerd.grpc.v1.cri".containerd]
                snapshotter = "\(snapshotter)"
                disable_snapshot_annotations = false
                default_runtime_name = "runc"
                [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
                  runtime_type = "io.containerd.runc.v2"
                  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
                    Root = "\(base)/runc"
                    SystemdCgroup = false

            """
        for (name, address) in plugins.sorted(by: { $0.key < $1.key }) {
            text += """

                [proxy_plugins.\(name)]
                  type = "snapshot"
                  address = "\(address)"

                """
        }
        try Files.write("\(base)/config.toml", text)
        let log = "\(lab.nextLogName("containerd")).log"
        let process = try ChildProcess(
            "containerd", ["containerd", "--config", "\(base)/config.toml"], log: log)
        self.process = process
        let sweep = Sweep(directory: base, controlGroup: lab.controlGroup)
        try (teardown ?? lab.teardown).add("containerd") {
            sweep.killContainers()
            process.terminate()
            sweep.run()
        }
        try await Readiness.socket(socket, of: process)
        if let failure = Self.failedPlugin(in: log) {
            throw LabError(.failed, "containerd did not start all required plugins: \(failure)")
        }
    }

    /// Returns the log line of a failed CRI plugin, because containerd continues without it; `nil` if it did not fail.
    private static func failedPlugin(in log: String) -> Substring? {
        let text = (try? Files.text(log)) ?? ""
        return text.split(separator: "\n").first {
            $0.contains("failed to load plugin") && $0.contains("io.containerd.grpc.v1.cri")
        }
    }

    /// Runs `ctr` with `arguments` against this containerd.
    @discardableResult
    public func ctr(
        _ arguments: [String], namespace: String = "k8s.io", program: String = "ctr", timeout: UInt64 = 300
    ) async throws(LabError) -> String {
        try await Command.run(
            [program, "--address", socket, "--namespace", namespace] + arguments, in: lab, timeout: timeout)
    }

    /// Imports an OCI archive into the image store and unpacks it into `snapshotter`, by default the one of CRI.
    public func importImage(
        _ archive: String, snapshotter: String? = nil, namespace: String = "k8s.io"
    ) async throws(LabError) {
        try await ctr(
            ["images", "import", "--snapshotter", snapshotter ?? self.snapshotter, archive], namespace: namespace)
    }

    /// Returns a client of containerd's CRI. The caller closes it.
    public func connect() throws(LabError) -> CRIClient {
        do {
            return try CRIClient(socket: socket)
        } catch {
            throw LabError(runtime: error)
        }
    }
}
