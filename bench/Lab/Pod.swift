public import Base
public import ContainerRuntime
import ContainerdAPI
import SwiftProtobuf

/// A pod of one container on the host's network. It is run as kubelet would: sandbox, pull, create, start.
///
/// The pod records the time of each step.
public final class Pod: Sendable {
    /// The description of the container to run.
    public struct Specification: Sendable {
        public var name: String
        public var image: String
        /// The command that replaces the image's own, unless it is empty.
        public var command: [String]
        /// The host directories to mount, each with its path in the container and its path on the host.
        public var mounts: [(container: String, host: String)]

        public init(
            name: String, image: String, command: [String] = [], mounts: [(container: String, host: String)] = []
        ) {
            self.name = name
            self.image = image
            self.command = command
            self.mounts = mounts
        }
    }

    /// The times at which the steps completed. A bench reports the differences.
    public struct Marks: Sendable {
        public internal(set) var asked: MonotonicTime
        public internal(set) var sandbox: MonotonicTime
        public internal(set) var pulled: MonotonicTime
        public internal(set) var created: MonotonicTime
        public internal(set) var started: MonotonicTime
    }

    public let sandboxID: String
    public let containerID: String
    public let marks: Marks
    /// The file with the container's output, in CRI's log format.
    public let logPath: String
    let client: CRIClient

    /// Runs a pod up to the start of its container. After an error, the sandbox is removed.
    ///
    /// Like kubelet with IfNotPresent, this does not pull an image that is present.
    /// - Parameters:
    ///   - pullSeconds: the time limit for the pull.
    ///   - progress: the function that receives the current step.
    public init(
        _ specification: Specification, in lab: Lab, client: CRIClient, pullSeconds: Int64 = 600,
        progress: @Sendable (String) -> Void = { _ in }
    ) async throws(LabError) {
        let sandbox = Self.sandbox(specification, in: lab)
        let now = MonotonicTime.now()
        var marks = Marks(asked: now, sandbox: now, pulled: now, created: now, started: now)
        progress("sandbox")
        do {
            sandboxID = try await client.runSandbox(sandbox)
        } catch {
            throw LabError(runtime: error)
        }
        marks.sandbox = .now()
        do throws(ContainerRuntimeError) {
            progress("pull")
            var image = try await client.image(specification.image)
            if image == nil {
                image = try await client.pull(specification.image, sandbox: sandbox, seconds: pullSeconds)
            }
            marks.pulled = .now()
            progress("create")
            containerID = try await client.createContainer(
                Self.container(specification, image: image ?? specification.image), in: sandboxID, of: sandbox)
            marks.created = .now()
            progress("start")
            try await client.startContainer(containerID)
            marks.started = .now()
        } catch {
            try? await client.removeSandbox(sandboxID)
            throw LabError(runtime: error)
        }
        self.marks = marks
        self.client = client
        logPath = "\(sandbox.logDirectory)/\(Self.logName)"
    }

    /// Waits for a line of the container's output, like ``waitUntilReady(_:seconds:)``.
    public func waitForLine(_ line: String, seconds: UInt64 = 300) async throws(LabError) -> MonotonicTime {
        try await waitUntilReady(.line(line), seconds: seconds)
    }

    /// Waits for the container's exit and returns its exit code.
    public func waitForExit(seconds: UInt64 = 300) async throws(LabError) -> Int32 {
        let deadline = MonotonicTime.now().advanced(by: seconds * 1_000_000_000)
        while MonotonicTime.now() < deadline {
            let status = try await status()
            if status.state == .containerExited { return status.exitCode }
            do {
                try await Task.sleep(for: .milliseconds(20))
            } catch {
                throw LabError(.closing, "given up waiting for the container's end", cause: error)
            }
        }
        throw LabError(.timedOut, "the container did not exit within \(seconds) s")
    }

    /// Returns the container's output so far, without CRI's prefixes.
    public func output() -> [String] {
        var log = ContainerLog(path: logPath)
        return log.newLines()
    }

    /// Stops the pod and removes it.
    public func remove() async throws(LabError) {
        do {
            try await client.removeSandbox(sandboxID)
        } catch {
            throw LabError(runtime: error)
        }
    }

    /// Returns the status of the pod's container.
    func status() async throws(LabError) -> Runtime_V1_ContainerStatus {
        do {
            return try await client.status(ofContainer: containerID)
        } catch {
            throw LabError(runtime: error)
        }
    }

    // MARK: - Messages

    private static let logName = "main.log"

    private static func sandbox(_ specification: Specification, in lab: Lab) -> Runtime_V1_PodSandboxConfig {
        .with {
            $0.metadata.name = specification.name
            $0.metadata.uid = specification.name
            $0.metadata.namespace = "lab"
            $0.logDirectory = "\(lab.directory)/pods/\(specification.name)"
            $0.linux.cgroupParent = lab.controlGroup
            $0.linux.securityContext.namespaceOptions.network = .node
        }
    }

    private static func container(_ specification: Specification, image: String) -> Runtime_V1_ContainerConfig {
        .with {
            $0.metadata.name = "main"
            $0.image.image = image
            $0.command = specification.command
            $0.logPath = logName
            $0.linux.securityContext.namespaceOptions.network = .node
            $0.mounts = specification.mounts.map { mount in
                .with {
                    $0.containerPath = mount.container
                    $0.hostPath = mount.host
                }
            }
        }
    }
}
