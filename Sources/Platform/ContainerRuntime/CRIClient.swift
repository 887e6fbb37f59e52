public import Base
public import ContainerdAPI
import FoundationEssentials
import GRPCCore
import GRPCNIOTransportHTTP2
import GRPCProtobuf
import SwiftProtobuf

/// A client of the CRI, Kubernetes' interface to a container runtime, over a unix socket. The client makes calls that
/// kubelet also makes. Every call has a time limit.
public final class CRIClient: Sendable {
    private typealias Transport = HTTP2ClientTransport.Posix

    private let client: GRPCClient<Transport>
    private let connections: Task<Void, any Error>
    private let runtime: Runtime_V1_RuntimeService.Client<Transport>
    private let images: Runtime_V1_ImageService.Client<Transport>

    /// Creates a client.
    ///
    /// - Parameter socket: the path of the runtime's unix socket. The client connects on its first call.
    public init(socket: String) throws(ContainerRuntimeError) {
        do {
            client = GRPCClient(transport: try Transport(containerRuntime: socket))
        } catch {
            throw ContainerRuntimeError(.unreachable, "cannot create a CRI client for \(socket)", cause: error)
        }
        connections = Task { [client] in try await client.runConnections() }
        runtime = Runtime_V1_RuntimeService.Client(wrapping: client)
        images = Runtime_V1_ImageService.Client(wrapping: client)
    }

    /// Waits until the calls in flight have finished, and closes the connection.
    public func close() async {
        client.beginGracefulShutdown()
        _ = await connections.result
    }

    // MARK: - Images

    /// Returns the ID of the image `reference`; `nil` if the runtime does not have the image.
    public func image(_ reference: String) async throws(ContainerRuntimeError) -> String? {
        try await call("ImageStatus \(reference)") { options in
            let status = try await self.images.imageStatus(
                .with { $0.image.image = reference }, options: options)
            return status.hasImage ? status.image.id : nil
        }
    }

    /// Returns the chain ID of the image `reference`; `nil` if the runtime does not have the image or is not
    /// containerd. Other runtimes do not report chain IDs.
    public func chainID(ofImage reference: String) async throws(ContainerRuntimeError) -> Digest? {
        let information = try await call("ImageStatus \(reference)") { options in
            try await self.images.imageStatus(
                .with {
                    $0.image.image = reference
                    $0.verbose = true
                }, options: options
            ).info["info"]
        }
        struct Information: Decodable { let chainID: Digest? }
        return information.flatMap { try? JSONDecoder().decode(Information.self, from: Data($0.utf8)).chainID }
    }

    /// Pulls `reference` with the default snapshotter and returns the image's ID.
    ///
    /// - Parameters:
    ///   - sandbox: the configuration of the sandbox that needs the image.
    ///   - credentials: credentials for the image's registry; `nil` to use only the runtime's own.
    ///   - seconds: the time limit for the pull.
    public func pull(
        _ reference: String, sandbox: Runtime_V1_PodSandboxConfig = .init(),
        credentials: Runtime_V1_AuthConfig? = nil, seconds: Int64 = 600
    ) async throws(ContainerRuntimeError) -> String {
        try await call("PullImage \(reference)", seconds: seconds) { options in
            try await self.images.pullImage(
                .with {
                    $0.image.image = reference
                    $0.sandboxConfig = sandbox
                    if let credentials { $0.auth = credentials }
                }, options: options
            ).imageRef
        }
    }

    /// Removes the image `reference` with all its names.
    public func removeImage(_ reference: String) async throws(ContainerRuntimeError) {
        try await call("RemoveImage \(reference)") { options in
            _ = try await self.images.removeImage(.with { $0.image.image = reference }, options: options)
        }
    }

    /// Returns the path of the file system of images and the bytes that images use, as the runtime reports them to
    /// kubelet for its default snapshotter; `nil` if it reports none.
    public func imageFileSystem() async throws(ContainerRuntimeError) -> (path: String, usedBytes: UInt64)? {
        try await call("ImageFsInfo") { options in
            let usages = try await self.images.imageFsInfo(.init(), options: options).imageFilesystems
            return usages.first.map { ($0.fsID.mountpoint, $0.usedBytes.value) }
        }
    }

    // MARK: - Pods

    /// Returns true if the runtime reports that it is ready.
    public func runtimeIsReady() async throws(ContainerRuntimeError) -> Bool {
        try await call("Status") { options in
            try await self.runtime.status(.init(), options: options).status.conditions
                .contains { $0.type == "RuntimeReady" && $0.status }
        }
    }

    /// Starts a sandbox and returns its ID.
    ///
    /// - Parameter handler: the name of a runtime handler, which selects the kind of sandbox. An empty name means the
    ///   default.
    public func runSandbox(
        _ sandbox: Runtime_V1_PodSandboxConfig, handler: String = ""
    ) async throws(ContainerRuntimeError) -> String {
        try await call("RunPodSandbox \(sandbox.metadata.name)") { options in
            try await self.runtime.runPodSandbox(
                .with {
                    $0.config = sandbox
                    $0.runtimeHandler = handler
                }, options: options
            ).podSandboxID
        }
    }

    /// Creates a container in a sandbox and returns the container's ID.
    public func createContainer(
        _ container: Runtime_V1_ContainerConfig, in sandboxID: String, of sandbox: Runtime_V1_PodSandboxConfig
    ) async throws(ContainerRuntimeError) -> String {
        try await call("CreateContainer \(container.metadata.name)") { options in
            try await self.runtime.createContainer(
                .with {
                    $0.podSandboxID = sandboxID
                    $0.config = container
                    $0.sandboxConfig = sandbox
                }, options: options
            ).containerID
        }
    }

    /// Starts a created container.
    public func startContainer(_ id: String) async throws(ContainerRuntimeError) {
        try await call("StartContainer \(id)") { options in
            _ = try await self.runtime.startContainer(.with { $0.containerID = id }, options: options)
        }
    }

    /// Returns the status of a container.
    public func status(ofContainer id: String) async throws(ContainerRuntimeError) -> Runtime_V1_ContainerStatus {
        try await call("ContainerStatus \(id)") { options in
            try await self.runtime.containerStatus(.with { $0.containerID = id }, options: options).status
        }
    }

    /// Runs a command in a container. Returns the exit code, and the standard output followed by the standard error.
    ///
    /// - Parameters:
    ///   - id: the container's ID.
    ///   - seconds: the time limit for the command.
    public func execute(
        _ command: [String], in id: String, seconds: Int64 = 60
    ) async throws(ContainerRuntimeError) -> (output: String, exitCode: Int32) {
        try await call("ExecSync \(command)", seconds: seconds + 10) { options in
            let response = try await self.runtime.execSync(
                .with {
                    $0.containerID = id
                    $0.cmd = command
                    $0.timeout = seconds
                }, options: options)
            return (
                String(decoding: response.stdout + response.stderr, as: UTF8.self), response.exitCode
            )
        }
    }

    /// Stops and removes a sandbox with all its containers. A missing sandbox is not an error.
    public func removeSandbox(_ id: String) async throws(ContainerRuntimeError) {
        try await call("StopPodSandbox \(id)") { options in
            _ = try await self.runtime.stopPodSandbox(.with { $0.podSandboxID = id }, options: options)
        }
        try await call("RemovePodSandbox \(id)") { options in
            _ = try await self.runtime.removePodSandbox(.with { $0.podSandboxID = id }, options: options)
        }
    }

    private func call<Result: Sendable>(
        _ what: String, seconds: Int64 = 60, _ body: (CallOptions) async throws -> Result
    ) async throws(ContainerRuntimeError) -> Result {
        var options = CallOptions.defaults
        options.timeout = .seconds(seconds)
        do {
            return try await body(options)
        } catch {
            let isAway = (error as? RPCError)?.code == .unavailable
            throw ContainerRuntimeError(isAway ? .unreachable : .failed, what, cause: error)
        }
    }
}
