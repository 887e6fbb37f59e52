/// A registry with a conversion service. The registry notifies the service of pushes and deletions.
public final class ConvertingRegistry: Sendable {
    public let registry: RegistryServer
    /// The service's port on 127.0.0.1.
    public let servicePort: Int
    private let service: ChildProcess

    /// Starts the service and the registry, which serves `storage`.
    /// - Parameter options: additional command-line options of the service.
    public init(in lab: Lab, storage: String, options: [String] = []) async throws(LabError) {
        servicePort = try Sockets.freePort()
        registry = try await RegistryServer(
            in: lab, storage: storage, notifications: "http://127.0.0.1:\(servicePort)/v1/notifications")
        let service = try ChildProcess(
            "conversion service",
            [
                try Repository.product("rivulet"), "serve-conversion", "--registry", "127.0.0.1:\(registry.port)",
                "--state", "\(lab.directory)/conversion-\(servicePort).db", "--listen", "127.0.0.1:\(servicePort)",
                "--poll", "3600",
            ] + options, log: "\(lab.nextLogName("conversion")).log")
        self.service = service
        try lab.teardown.add("conversion service") { service.terminate() }
        try await Readiness.port(servicePort, of: service)
    }

    public func logTail() -> String { service.logTail() }
}
