import ArgumentParser
import Base
import ContainerRuntime
import ContainerdAPI
import Glibc
import Registry
import SwiftProtobuf
import UnixSignals

/// `rivulet profile record`: starts an image once and records its reads.
struct ProfileRecord: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "record",
        abstract: "Start an image once on this node and record its profile.",
        discussion: """
            Runs a pod of the image through the node's containerd, as kubelet would, until the daemon has seen no new reads for \
            a while ([streaming] profile_quiet in its configuration). Then it removes the pod. The daemon stores the profile; \
            with -o the command also writes it to a file. The image must stream on this node. An image that was started here \
            before already has a profile, and the command runs nothing.

            With --output json an array of one: file, chain, repository, entries, bytes.

            Examples:
              rivulet profile record --image registry.example/team/app:1.2
              rivulet profile record --image registry.example/team/app:1.2 -o app.profile --env MODE=test -- /app --once

            Exit codes: 69 containerd or daemon unreachable; the others are in rivulet --help.
            """)

    @Option(help: ArgumentHelp("The image, by tag or digest.", valueName: "reference"))
    var image: String

    @Option(
        name: [.customShort("o"), .customLong("file")],
        help: ArgumentHelp(
            "Also write the profile to this file; - is standard output. Default: none.", valueName: "file"))
    var file: String?

    @Option(help: ArgumentHelp("containerd's socket.", valueName: "path"))
    var containerd = "/run/containerd/containerd.sock"

    @Option(
        help: ArgumentHelp(
            "The directory of docker's config.json, for pulls of private images.",
            discussion: "Default: $DOCKER_CONFIG, or ~/.docker.", valueName: "directory"))
    var dockerConfig: String?

    @Option(
        help: ArgumentHelp(
            "containerd's runtime handler, as in a RuntimeClass. Default: its own default.", valueName: "name"))
    var runtimeHandler = ""

    @Option(
        help: ArgumentHelp(
            "A variable of the container's environment. Repeatable. Default: none.", valueName: "name=value"))
    var env: [String] = []

    @Option(
        help: ArgumentHelp(
            "The parent cgroup of the pod. Default: the runtime's choice.", valueName: "path"))
    var cgroupParent = ""

    @Flag(help: "Use the node's network, for nodes without a pod network.")
    var hostNetwork = false

    @Option(help: ArgumentHelp("The time limit for the whole command, in seconds.", valueName: "seconds"))
    var timeout = 600

    @Argument(help: "The command to run. Default: the image's own.")
    var command: [String] = []

    @OptionGroup var admin: AdminOptions

    func validate() throws {
        guard (1...86400).contains(timeout) else { throw ValidationError("--timeout must be 1 to 86400 seconds") }
        guard env.allSatisfy({ $0.contains("=") && !$0.hasPrefix("=") }) else {
            throw ValidationError("--env must be NAME=VALUE")
        }
    }

    func run() async throws {
        // Trap signals, because the command must remove the pod however it ends.
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        try await reporting {
            let work = Task { try await record() }
            let stopper = Task { for await _ in signals { work.cancel() } }
            defer { stopper.cancel() }
            do {
                try await work.value
            } catch let error as ContainerRuntimeError {
                let advice =
                    error.code == .unreachable
                    ? ": check that containerd is running and --containerd names its socket, or try sudo"
                    : ""
                throw CommandFailure(error.code == .unreachable ? .unreachable : .failed, "\(error)\(advice)".printable)
            } catch is CancellationError {
                throw CommandFailure(.failed, "stopped: no profile was recorded")
            }
        }
    }

    private func record() async throws {
        let client = admin.client
        let known = Set(try await client.profiles().map(\.chain))
        let runtime = try CRIClient(socket: containerd)
        let outcome: Result<Digest, any Error>
        do {
            outcome = .success(try await run(on: runtime, client: client, known: known))
        } catch {
            outcome = .failure(error)
        }
        await runtime.close()
        let chain = try outcome.get()
        let bytes = try await client.profile(of: chain)
        let contents = try client.contents(of: bytes, chain)
        guard let file else { return try TransferredProfile.report([TransferredProfile("-", contents)], admin.output) }
        try CommandFile.write(file, bytes)
        guard file != CommandFile.standard else { return }
        try TransferredProfile.report([TransferredProfile(file, contents)], admin.output)
    }

    /// Runs the image until the daemon has recorded its profile, and returns the image's chain ID.
    ///
    /// - Parameter known: the chain IDs that already have a profile. If the image's chain ID is one of them, the
    ///   function starts no container.
    private func run(on runtime: CRIClient, client: AdminSocket, known: Set<Digest>) async throws -> Digest {
        let deadline = MonotonicTime.now().advanced(by: UInt64(timeout) * 1_000_000_000)
        if let chain = try await runtime.chainID(ofImage: image), known.contains(chain) {
            Output.note("\(image.printable) was started here before: using the profile of that start\n")
            return chain
        }
        let sandbox = sandbox
        Output.note("starting \(image.printable)\n")
        let id = try await runtime.runSandbox(sandbox, handler: runtimeHandler)
        let outcome: Result<Digest, any Error>
        do {
            outcome = .success(
                try await run(on: runtime, client: client, in: sandbox, id: id, known: known, deadline: deadline))
        } catch {
            outcome = .failure(error)
        }
        // The unstructured task finishes even if this task is canceled.
        await Task { try? await runtime.removeSandbox(id) }.value
        return try outcome.get()
    }

    private func run(
        on runtime: CRIClient, client: AdminSocket, in sandbox: Runtime_V1_PodSandboxConfig, id: String,
        known: Set<Digest>, deadline: MonotonicTime
    ) async throws -> Digest {
        let pulled: String
        if let known = try await runtime.image(image) {
            pulled = known
        } else {
            pulled = try await runtime.pull(
                image, sandbox: sandbox, credentials: try await credentials(), seconds: Int64(timeout))
        }
        guard let chain = try await runtime.chainID(ofImage: pulled) else {
            throw CommandFailure(
                .failed, "the runtime at \(containerd) does not report the chain of \(image): is it containerd?")
        }
        guard !known.contains(chain) else { return chain }
        let container = try await runtime.createContainer(container(pulled), in: id, of: sandbox)
        try await runtime.startContainer(container)
        Output.note("container started, waiting until it reads nothing new\n")
        var hasEnded = false
        while MonotonicTime.now() < deadline {
            try await Task.sleep(for: .milliseconds(500))
            if try await client.profiles().contains(where: { $0.chain == chain }) { return chain }
            guard !hasEnded else { continue }
            let status = try await runtime.status(ofContainer: container)
            hasEnded = status.state == .containerExited
            if hasEnded, status.exitCode != 0 {
                Output.note("container exited with \(status.exitCode): recording its reads until then\n")
            }
        }
        throw CommandFailure(
            .failed,
            "the daemon at \(client.path) recorded nothing within \(timeout) s: check that the image streams on this node. The "
                + "daemon's log has the reason (fallback); rivulet artifact-streaming create makes an image streamable")
    }

    /// Returns the credentials for the image's registry from docker's configuration, in the form in which kubelet
    /// passes them to containerd for a pull; `nil` if there are none.
    private func credentials() async throws -> Runtime_V1_AuthConfig? {
        let repository = try ImageReference(parsing: image).repository
        let source = DockerConfigCredentials(path: dockerConfig.map { $0 + "/config.json" })
        guard
            let found = try await source.credentials(
                for: CredentialRequest(host: repository.host, repository: repository))
        else { return nil }
        return .with {
            switch found {
            case .password(let user, let password): ($0.username, $0.password) = (user, password.reveal())
            case .refreshToken(let token): $0.identityToken = token.reveal()
            case .bearer(let token): $0.registryToken = token.reveal()
            }
        }
    }

    private var sandbox: Runtime_V1_PodSandboxConfig {
        .with {
            $0.metadata.name = "rivulet-profile-record"
            // containerd requires unique metadata for each sandbox.
            $0.metadata.uid = "\(getpid())-\(MonotonicTime.now())"
            $0.metadata.namespace = "rivulet"
            $0.linux.cgroupParent = cgroupParent
            if hostNetwork { $0.linux.securityContext.namespaceOptions.network = .node }
        }
    }

    private func container(_ pulled: String) -> Runtime_V1_ContainerConfig {
        .with {
            $0.metadata.name = "main"
            $0.image.image = pulled
            $0.command = command
            $0.envs = env.map { variable in
                let halves = variable.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                return .with {
                    $0.key = String(halves[0])
                    $0.value = String(halves[1])
                }
            }
            if hostNetwork { $0.linux.securityContext.namespaceOptions.network = .node }
        }
    }
}
