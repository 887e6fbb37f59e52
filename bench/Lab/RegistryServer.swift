public import Base

/// Debian's docker-registry on a port of 127.0.0.1, without TLS and credentials.
public final class RegistryServer: Sendable {
    public let port: Int
    private let process: ChildProcess

    /// Starts a server of `storage`, a directory that need not exist yet and outlives the server.
    ///
    /// - Parameter notifications: the URL to notify of pushes and deletions; `nil` for none.
    public init(
        in lab: Lab, storage: String, notifications: String? = nil, teardown: Teardown? = nil
    ) async throws(LabError) {
        port = try Sockets.freePort()
        let configuration = "\(lab.directory)/registry-\(port).yml"
        try Files.makeDirectory(storage)
        try Files.write(
            configuration,
            """
            version: 0.1
            log:
              level: warn
              accesslog:
                disabled: true
            storage:
              filesystem:
                rootdirectory: \(storage)
              delete:
                enabled: true
            http:
              addr: 127.0.0.1:\(port)

            """ + (notifications.map(Self.endpoint) ?? ""))
        let process = try ChildProcess(
            "docker-registry", ["docker-registry", "serve", configuration], log: "\(lab.nextLogName("registry")).log",
            environment: ["OTEL_TRACES_EXPORTER": "none"])
        self.process = process
        try (teardown ?? lab.teardown).add("docker-registry") { process.terminate() }
        try await Readiness.port(port, of: process)
    }

    private static func endpoint(_ url: String) -> String {
        """
        notifications:
          endpoints:
            - name: listener
              url: \(url)
              timeout: 5s
              threshold: 10
              backoff: 100ms

        """
    }

    /// Stops the server, as if its machine were gone. Blocks.
    public func stop() {
        process.terminate()
    }
}
