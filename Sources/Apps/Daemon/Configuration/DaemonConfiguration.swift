public import Base
public import ContentStore
import Linux
public import Logging

/// The options that a node's operator sets in `config.toml`. `deploy/config.toml` explains each option.
public struct DaemonConfiguration: Sendable {
    public var root = "/var/lib/rivulet"
    public var address = "/run/rivulet/rivulet.sock"
    public var logLevel = Logger.Level.info
    public var registryConfigPath = "/etc/containerd/certs.d:/etc/docker/certs.d"
    /// The directory of docker's `config.json`; `nil` means `$DOCKER_CONFIG`, or else `$HOME/.docker`.
    public var dockerConfig: String?
    /// The number of connections to one registry host that background blob requests leave free for urgent requests.
    /// Urgent requests fetch manifests, tokens, and blobs for which a container's read waits.
    public var registryConnections = 24
    /// The maximum number of concurrent background requests to one registry, such as those of prefetch and background
    /// fill.
    public var registryBackgroundRequests = 16
    /// The number of connections that the daemon opens to one registry when a pod is created, before any request needs
    /// them; 0 opens none.
    ///
    /// The daemon connects to at most four registries: the sources of the images that were most recently added to the
    /// node. On a node without images, the daemon connects to registries that ``registryConfigPath`` configures.
    public var registryReadyConnections = 8
    /// The path of containerd's own socket, through which the daemon reads the manifests and configurations of images.
    /// If the path is `nil`, the daemon reads them from the registry.
    public var containerdAddress: String? = "/run/containerd/containerd.sock"
    /// containerd's `root`, in which old versions look for the file system of images (`ImageFileSystem`); `nil` for
    /// none.
    public var containerdRoot: String? = "/var/lib/containerd"
    /// The snapshotter's name in containerd's configuration, `[proxy_plugins.<name>]`. containerd's content store names
    /// the images that claim a chain by it.
    public var snapshotterName = "rivulet"
    public var prefetches = true
    public var profiles = true
    /// The time without new reads after which a container's start is over and its profile is stored, in seconds.
    public var profileQuiet = 10
    public var readsAhead = true
    public var predicts = true
    public var usesArtifacts = true
    public var fillsInBackground = true
    /// The limit of background fill (fetching the rest of a running image), in megabytes (10^6 bytes) per second; 0
    /// means unlimited.
    public var fillRate = 0
    /// The limits of the space that the cache uses. The defaults leave room below kubelet's threshold for deleting
    /// images (`imageGCLowThresholdPercent`, 80).
    public var spaceLimits = SpaceLimits()
    /// The maximum size of the chunks that are kept in memory because the disk did not take them, in mebibytes.
    public var cacheMemory = 64
    /// The number of FUSE threads; 0 means one for each core, but at least four.
    public var fuseThreads = 0
    public var allowsUnverifiedTOC = false
    /// The path of a file of trusted Ed25519 public keys (PEM). A streaming artifact must be signed with one of these
    /// keys; `nil` accepts unsigned artifacts.
    public var artifactKeys: String?
    /// The hosts of the registries from which layers are streamed, as in image references; `nil` allows all. containerd
    /// pulls the images of other registries.
    public var registries: Set<String>?
    /// True if the daemon verifies every layer in the background: it puts the layer's archive together, and compares
    /// the archive's files with the layer's index. Layers that are stored as a whole need hardly any further bytes. The
    /// blobs of all others are read once more.
    public var verifiesLayers = true
    /// The URL of the conversion service to which the daemon reports the first reads of containers; `nil` for none.
    public var conversionService: String?
    /// The path of a file with the bearer token of the conversion service; `nil` if the service requires none.
    public var conversionToken: String?
    /// The time limit for preparing a layer that is to be streamed, in seconds. If preparing takes longer, containerd
    /// pulls the layer in the ordinary way.
    public var prepareTimeout = 30
    /// The memory for opening images, in megabytes (2^20 bytes). A value below 64 counts as 64, except 0, which
    /// means a share of the node's memory (`ImageOptions.defaultOpeningMemory`).
    public var openingMemory = 0
    /// The number of files that the daemon keeps open for layers (`ContentStore.Options.openFiles`).
    public var openFiles = ContentStore.Options().openFiles
    /// The path of the admin socket; `nil` disables it.
    public var adminAddress: String? = "/run/rivulet/admin.sock"

    /// Creates the default configuration.
    public init() {}

    /// Parses `text`. Error messages name `path` as the file. An unknown option is an error.
    public init(text: String, path: String) throws(ConfigurationError) {
        var reader = try ConfigurationReader(text: text, path: path)
        root = try reader.path("root", default: root)
        address = try reader.path("address", default: address)
        let containerd = try reader.string("containerd.address", default: containerdAddress ?? "")
        containerdAddress = containerd.isEmpty ? nil : containerd
        let containerdRoot = try reader.string("containerd.root", default: self.containerdRoot ?? "")
        self.containerdRoot = containerdRoot.isEmpty ? nil : containerdRoot
        snapshotterName = try reader.string("containerd.snapshotter", default: snapshotterName)
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
        let quota = try reader.integer("cache.quota", default: 0, in: 0...1_000_000_000)
        spaceLimits.quota = quota > 0 ? UInt64(quota) * 1_000_000 : nil
        spaceLimits.fillPercent = try reader.integer(
            "streaming.background_fill_disk_percent", default: spaceLimits.fillPercent, in: 1...100)
        spaceLimits.evictPercent = try reader.integer(
            "cache.evict_disk_percent", default: spaceLimits.evictPercent, in: 1...100)
        spaceLimits.fullPercent = try reader.integer(
            "cache.full_disk_percent", default: spaceLimits.fullPercent, in: 1...100)
        cacheMemory = try reader.integer("cache.memory", default: cacheMemory, in: 1...65_536)
        fuseThreads = try reader.integer("fuse.threads", default: fuseThreads, in: 0...256)
        allowsUnverifiedTOC = try reader.bool("trust.allow_unverified_toc", default: allowsUnverifiedTOC)
        registries = try reader.strings("trust.registries").map(Set.init)
        verifiesLayers = try reader.bool("trust.verify_layers", default: verifiesLayers)
        let artifactKeys = try reader.string("trust.artifact_keys", default: "")
        self.artifactKeys = artifactKeys.isEmpty ? nil : artifactKeys
        conversionService = try reader.url("conversion.service")
        let token = try reader.string("conversion.token_file", default: "")
        conversionToken = token.isEmpty ? nil : token
        prepareTimeout = try reader.integer("limits.prepare_timeout", default: prepareTimeout, in: 1...3600)
        openingMemory = try reader.integer("limits.opening_memory", default: openingMemory, in: 0...65_536)
        openFiles = try reader.integer("limits.open_files", default: openFiles, in: 16...1_048_576)
        let adminAddress = try reader.string("admin.address", default: self.adminAddress ?? "")
        self.adminAddress = adminAddress.isEmpty ? nil : adminAddress
        try reader.finish()
    }

    /// Reads and parses the file at `path`.
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
