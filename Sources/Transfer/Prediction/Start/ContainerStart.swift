/// The process that a container runs, as the image's configuration names it (OCI image-spec, config.md).
public struct ContainerStart: Sendable, Equatable {
    /// The image's entrypoint, followed by its command. If a pod replaces either of them, this list still has the
    /// image's own.
    public var arguments: [String]
    /// The environment variables as `NAME=value`.
    public var environment: [String]
    public var workingDirectory: String

    public init(arguments: [String] = [], environment: [String] = [], workingDirectory: String = "/") {
        self.arguments = arguments
        self.environment = environment
        self.workingDirectory = workingDirectory
    }

    /// Returns the value of the environment variable `name`; `nil` if it is not set. If the list sets a variable twice,
    /// the first value counts.
    func variable(_ name: String) -> Substring? {
        environment.first { $0.hasPrefix(name + "=") }?.dropFirst(name.count + 1)
    }
}
