public import Concurrency

/// How a ``RegistryClient`` behaves.
public struct RegistryConfiguration: Sendable {
    /// containerd's `config_path`: directories that hold `<host>/hosts.toml`, the first that knows the host wins.
    public var hostDirectories: [String]
    public var credentials: any CredentialSource
    public var platform: Platform
    public var timeouts: RegistryTimeouts
    public var retry: RetryPolicy
    public var userAgent: String
    /// Bodies of background priority in flight at once for one upstream; further ones wait for their turn.
    public var backgroundStreams: Int
    /// Connections kept to one host for demand requests, manifests and tokens, beside those for background streams: a
    /// demand request waits for a connection only when so many others of its kind are in flight.
    public var demandConnections: Int
    /// Connections that ``RegistryClient/makeReady(_:)`` opens to one place; none when it is 0.
    public var readyConnections: Int
    public var clock: any TimeSource
    /// Gives a random number in 0..<1, for jitter.
    public var random: @Sendable () -> Double

    /// The pool of one host is ``backgroundStreams`` + ``demandConnections`` = 8 + 24 connections at most by default.
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

    /// The directories of a colon-separated `config_path`.
    public static func hostDirectories(configPath: String) -> [String] {
        configPath.split(separator: ":").map(String.init)
    }
}
