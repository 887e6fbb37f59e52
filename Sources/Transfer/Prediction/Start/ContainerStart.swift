/// The process that an image's configuration says a container of it runs (OCI image-spec, config.md).
public struct ContainerStart: Sendable, Equatable {
    /// The entrypoint and the command, unless the pod replaces them.
    public var arguments: [String]
    /// `NAME=value`.
    public var environment: [String]
    public var workingDirectory: String

    public init(arguments: [String] = [], environment: [String] = [], workingDirectory: String = "/") {
        self.arguments = arguments
        self.environment = environment
        self.workingDirectory = workingDirectory
    }

    /// Returns the value of a variable; the first one counts.
    func variable(_ name: String) -> Substring? {
        environment.first { $0.hasPrefix(name + "=") }?.dropFirst(name.count + 1)
    }
}
