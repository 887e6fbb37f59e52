import Linux
public import Logging

/// Everything that a node's operator may choose: what `config.toml` holds. `deploy/config.toml` explains each option.
public struct DaemonConfiguration: Sendable {
    public var root = "/var/lib/rivulet"
    public var address = "/run/rivulet/rivulet.sock"
    public var logLevel = Logger.Level.info
    public var registryConfigPath = "/etc/containerd/certs.d:/etc/docker/certs.d"
    /// The directory of docker's `config.json`; `nil` for docker's own rule.
    public var dockerConfig: String?
    /// Connections to one registry for what readers wait for, and requests to it for everything else at once.
    public var registryConnections = 24
    /// See ``registryConnections``.
    public var registryBackgroundRequests = 16
    /// Connections that are opened to a registry when a pod is made; none when it is 0.
    public var registryReadyConnections = 8
    /// containerd's own socket; `nil` for none.
    public var containerdAddress: String? = "/run/containerd/containerd.sock"
    public var prefetches = true
    public var profiles = true
    /// Seconds.
    public var profileQuiet = 10
    public var readsAhead = true
    public var predicts = true
    public var usesArtifacts = true
    public var fillsInBackground = true
    /// Megabytes (10^6) a second; 0 means no ceiling.
    public var fillRate = 0
    /// 0 means one a core, at least four.
    public var fuseThreads = 0
    public var allowsUnverifiedTOC = false
    /// A file of public keys; `nil` for no demand.
    public var artifactKeys: String?
    /// Hold complete layers that were streamed through an artifact against their image.
    public var auditsArtifacts = true
    /// The URL of the conversion service that is told what containers read first; `nil` for none.
    public var conversionService: String?
    /// A file with the token that it wants; `nil` when it wants none.
    public var conversionToken: String?
    /// Seconds.
    public var prepareTimeout = 30
    /// `nil` for none.
    public var adminAddress: String? = "/run/rivulet/admin.sock"

    /// The defaults.
    public init() {}

    /// What `text` says; `path` is for messages. An option that does not exist is an error.
    public init(text: String, path: String) throws(ConfigurationError) {
        var reader = try ConfigurationReader(text: text, path: path)
        root = try reader.path("root", default: root)
        address = try reader.path("address", default: address)
        let containerd = try reader.string("containerd.address", default: containerdAddress ?? "")
        containerdAddress = containerd.isEmpty ? nil : containerd
        logLevel = try reader.choice("log.level", default: logLevel)
        registryConfigPath = try reader.string("registry.config_path", default: registryConfigPath)
        let dockerConfig = try reader.string("registry.docker_config", default: "")
        self.dockerConfig = dockerConfig.isEmpty ? nil : dockerConfig
        registryConnections = try reader.integer("registry.connections", default: registryConnections, in: 1...1024)
        registryBackgroundRequests = try reader.integer(
            "registry.background_requests", default: registryBackgroundRequests, in: 1...1024)
        registryReadyConnections = try reader.integer(
            "registry.ready_connections", default: registryReadyConnections, in: 0...64)
        prefetches = try reader.bool("streaming.prefetch", default: prefetches)
        profiles = try reader.bool("streaming.profiles", default: profiles)
        profileQuiet = try reader.integer("streaming.profile_quiet", default: profileQuiet, in: 1...600)
        readsAhead = try reader.bool("streaming.read_ahead", default: readsAhead)
        predicts = try reader.bool("streaming.predict", default: predicts)
        usesArtifacts = try reader.bool("streaming.artifacts", default: usesArtifacts)
        fillsInBackground = try reader.bool("streaming.background_fill", default: fillsInBackground)
        fillRate = try reader.integer("streaming.background_fill_rate", default: fillRate, in: 0...1_000_000)
        fuseThreads = try reader.integer("fuse.threads", default: fuseThreads, in: 0...256)
        allowsUnverifiedTOC = try reader.bool("trust.allow_unverified_toc", default: allowsUnverifiedTOC)
        auditsArtifacts = try reader.bool("trust.audit_artifacts", default: auditsArtifacts)
        let artifactKeys = try reader.string("trust.artifact_keys", default: "")
        self.artifactKeys = artifactKeys.isEmpty ? nil : artifactKeys
        conversionService = try reader.url("conversion.service")
        let token = try reader.string("conversion.token_file", default: "")
        conversionToken = token.isEmpty ? nil : token
        prepareTimeout = try reader.integer("limits.prepare_timeout", default: prepareTimeout, in: 1...3600)
        let adminAddress = try reader.string("admin.address", default: self.adminAddress ?? "")
        self.adminAddress = adminAddress.isEmpty ? nil : adminAddress
        try reader.finish()
    }

    /// What the file at `path` says.
    public init(path: String) throws(ConfigurationError) {
        let bytes: [UInt8]
        do {
            bytes = try Sys.readFile(path, limit: 1 << 20)
        } catch {
            throw ConfigurationError(.unreadable, "cannot read the configuration \(path)", cause: error)
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw ConfigurationError(.syntax, "\(path): not UTF-8")
        }
        try self.init(text: text, path: path)
    }
}
