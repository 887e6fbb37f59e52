public import Concurrency

/// The configuration of a ``RegistryClient``.
public struct RegistryConfiguration: Sendable {
    /// The directories of containerd's `config_path`, which contain `<host>/hosts.toml`. For each registry, the client
    /// uses the first directory that has a subdirectory for the registry's host, or a subdirectory `_default`.
    public var hostDirectories: [String]
    public var credentials: any CredentialSource
    public var platform: Platform
    public var timeouts: RegistryTimeouts
    public var retry: RetryPolicy
    public var userAgent: String
    /// The maximum number of background requests in flight for one registry, with all its mirrors. Further
    /// background requests wait.
    public var backgroundStreams: Int
    /// The maximum number of connections to one host, in addition to ``backgroundStreams``. Background blob requests
    /// leave these connections free for all other requests: demand blob requests (``RequestPriority/demand``),
    /// manifests and tokens.
    public var demandConnections: Int
    /// The number of connections that ``RegistryClient/makeReady(_:)`` opens to one server; 0 disables that method.
    public var readyConnections: Int
    public var clock: any TimeSource
    /// A function that returns a random number in 0..<1, for jitter.
    public var random: @Sendable () -> Double

    /// Creates a configuration. The client opens at most ``backgroundStreams`` + ``demandConnections`` connections to
    /// one host: 8 + 24 by default.
    public init(
        hostDirectories: [String] = [], credentials: any CredentialSource = AnonymousCredentials(),
        platform: Platform = .current, timeouts: RegistryTimeouts = RegistryTimeouts(),
        retry: RetryPolicy = RetryPolicy(),
        userAgent: String = "rivulet", backgroundStreams: Int = 8, demandConnections: Int = 24,
        readyConnections: Int = 8, clock: any TimeSource = .system,
        random: @escaping @Sendable () -> Double = { Double.random(in: 0..<1) }
    ) {
        self.hostDirectories = hostDirectories
        self.credentials = credentials
        self.platform = platform
        self.timeouts = timeouts
        self.retry = retry
        self.userAgent = userAgent
        self.backgroundStreams = max(1, backgroundStreams)
        self.demandConnections = max(1, demandConnections)
        self.readyConnections = min(max(0, readyConnections), self.demandConnections)
        self.clock = clock
        self.random = random
    }

    /// Returns the directories of a colon-separated `config_path`.
    public static func hostDirectories(configPath: String) -> [String] {
        configPath.split(separator: ":").map(String.init)
    }
}
