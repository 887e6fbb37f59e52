import Base

/// How a ``RegistryClient`` behaves.
public struct RegistryConfiguration: Sendable {
    /// Deadlines on progress, in nanoseconds. There is none on a whole body: a large one may take as long as it moves.
    public struct Timeouts: Sendable, Hashable {
        /// Making a connection with its TLS handshake. `dial_timeout` of `hosts.toml` goes before it.
        public var connect: UInt64 = 5_000_000_000
        /// From sending a request to the first byte of the answer.
        public var firstByte: UInt64 = 20_000_000_000
        /// Between two pieces of a body.
        public var stall: UInt64 = 20_000_000_000
        /// A credential helper, from start to end.
        public var helper: UInt64 = 10_000_000_000

        public init() {}
    }

    /// When to try again.
    public struct Retry: Sendable, Hashable {
        /// How often all usable hosts are tried, the first time included.
        public var rounds = 5
        /// Wait before the second round; doubled for each further one, and jittered.
        public var baseDelay: UInt64 = 100_000_000
        /// Longest wait of our own choosing.
        public var maximumDelay: UInt64 = 5_000_000_000
        /// Longest wait that a server may impose by Retry-After; a longer one is reported instead of obeyed.
        public var maximumRetryAfter: UInt64 = 30_000_000_000
        /// No try begins later than this after the first one.
        public var budget: UInt64 = 60_000_000_000

        public init() {}
    }

    /// containerd's `config_path`: directories that hold `<host>/hosts.toml`, the first that knows the host wins.
    public var hostDirectories: [String]
    public var credentials: any CredentialSource
    public var platform: Platform
    public var timeouts: Timeouts
    public var retry: Retry
    public var userAgent: String
    /// Bodies of background priority in flight at once for one upstream; further ones wait for their turn.
    public var backgroundStreams: Int
    /// Connections kept to one host for demand requests, manifests and tokens, beside those for background streams: a
    /// demand request waits for a connection only when so many others of its kind are in flight.
    public var demandConnections: Int
    /// Connections that ``RegistryClient/makeReady(_:)`` opens to one place; none when it is 0.
    public var readyConnections: Int
    public var clock: RegistryClock

    /// The pool of one host is ``backgroundStreams`` + ``demandConnections`` = 8 + 24 connections at most by default.
    public init(
        hostDirectories: [String] = [], credentials: any CredentialSource = AnonymousCredentials(),
        platform: Platform = .current, timeouts: Timeouts = Timeouts(), retry: Retry = Retry(),
        userAgent: String = "rivulet", backgroundStreams: Int = 8, demandConnections: Int = 24,
        readyConnections: Int = 8, clock: RegistryClock = .system
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
    }

    /// The directories of a colon-separated `config_path`.
    public static func hostDirectories(configPath: String) -> [String] {
        configPath.split(separator: ":").map(String.init)
    }
}
