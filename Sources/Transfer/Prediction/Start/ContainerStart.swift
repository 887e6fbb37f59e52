/// The process that an image's configuration names for its containers (OCI image-spec, config.md).
public struct ContainerStart: Sendable, Equatable {
    /// The image's entrypoint and command. A pod may replace them.
    public var arguments: [String]
    /// The environment variables as `NAME=value`.
    public var environment: [String]
    public var workingDirectory: String

    public init(arguments: [String] = [], environment: [String] = [], workingDirectory: String = "/") {
        self.arguments = arguments
        self.environment = environment
        self.workingDirectory = workingDirectory
    }

    /// Returns the value of the variable `name`; `nil` if it is not set. If the list sets a variable twice, the first
    /// value counts.
    func variable(_ name: String) -> Substring? {
        environment.first { $0.hasPrefix(name + "=") }?.dropFirst(name.count + 1)
    }
}
