public import Base
public import Glibc

/// A snapshotter daemon that containerd reaches over a unix socket.
public protocol SnapshotterDaemon: Sendable {
    /// The snapshotter's name in containerd.
    var name: String { get }
    var socket: String { get }
    var process: ChildProcess { get }
}

/// Our own daemon.
public final class RivuletDaemon: SnapshotterDaemon {
    public let name = "rivulet"
    public let socket: String
    /// The daemon's `root`, which contains all its data.
    public let root: String
    /// The unix socket of the daemon's HTTP server, which provides the metrics.
    public let adminSocket: String
    private let lab: Lab
    private let configuration: String
    private let program: String
    private let running: Guarded<ChildProcess>

    public var process: ChildProcess { running.withLock { $0 } }

    /// Starts a daemon in `<lab>/<directory>`.
    /// - Parameters:
    ///   - containerd: the socket of the daemon's containerd; `nil` if the daemon must not use it.
    ///   - containerdRoot: the root of the daemon's containerd; `nil` if the daemon must not use it.
    ///   - hosts: a directory of `hosts.toml` files.
    ///   - options: additional lines of the configuration file, which must be whole tables.
    ///   - program: the program of this package to start.
    public init(
        in lab: Lab, directory: String = "rivulet", containerd: String?, containerdRoot: String? = nil, hosts: String,
        options: String = "", program: String = "rivuletd", teardown: Teardown? = nil
    ) async throws(LabError) {
        let base = "\(lab.directory)/\(directory)"
        self.lab = lab
        self.program = program
        root = "\(base)/root"
        socket = "\(base)/rivulet.sock"
        adminSocket = "\(base)/admin.sock"
        configuration = "\(base)/config.toml"
        try Files.write(
            configuration,
            """
            root = "\(root)"
            address = "\(socket)"
            [log]
            level = "info"
            [containerd]
            address = "\(containerd ?? "")"
            root = "\(containerdRoot ?? "")"
            [registry]
            config_path = "\(hosts)"
            [admin]
            address = "\(adminSocket)"
            \(options)
            """)
        let running = Guarded(try Self.start(program, configuration, in: lab))
        self.running = running
        let sweep = Sweep(directory: base, controlGroup: lab.controlGroup)
        try (teardown ?? lab.teardown).add("rivuletd") {
            running.withLock { $0 }.terminate()
            sweep.run()
        }
        try await Readiness.socket(socket, of: process)
    }

    /// Stops the daemon, with SIGKILL or as a service manager would, and restarts it with its data.
    public func restart(killing: Bool) async throws(LabError) {
        let old = process
        if killing { old.signal(SIGKILL) }
        await blocking { old.terminate(grace: 20_000_000_000) }
        let new = try Self.start(program, configuration, in: lab)
        running.withLock { $0 = new }
        try await Readiness.socket(socket, of: new)
    }

    /// Returns the values of the daemon's metrics, keyed by name with labels.
    public func metrics() async throws(LabError) -> [String: Double] {
        let socket = adminSocket
        let page: Result<[UInt8], LabError> = await blocking {
            Result { () throws(LabError) in try PlainHTTP.get("/metrics", socketPath: socket) }
        }
        var values: [String: Double] = [:]
        for line in String(decoding: try page.get(), as: UTF8.self).split(separator: "\n") where !line.hasPrefix("#") {
            let parts = line.split(separator: " ")
            if parts.count == 2, let value = Double(parts[1]) { values[String(parts[0])] = value }
        }
        return values
    }

    private static func start(
        _ program: String, _ configuration: String, in lab: Lab
    ) throws(LabError) -> ChildProcess {
        try ChildProcess(
            "rivuletd", [try Repository.product(program), "--config", configuration],
            log: "\(lab.nextLogName("rivuletd")).log")
    }
}

/// stargz-snapshotter's daemon, built by `bench/peers/stargz`.
public final class StargzDaemon: SnapshotterDaemon {
    public let name = "stargz"
    public let socket: String
    public let process: ChildProcess

    /// Starts `program` in `<lab>/<directory>`.
    public init(
        program: String, in lab: Lab, directory: String = "stargz", hosts: String, teardown: Teardown? = nil
    ) async throws(LabError) {
        let base = "\(lab.directory)/\(directory)"
        socket = "\(base)/stargz.sock"
        try Files.makeDirectory(base)
        let process = try ChildProcess(
            "stargz", [program, "-root", "\(base)/root", "-address", socket, "-hosts", hosts],
            log: "\(lab.nextLogName("stargz")).log")
        self.process = process
        let sweep = Sweep(directory: base, controlGroup: lab.controlGroup)
        try (teardown ?? lab.teardown).add("stargz") {
            process.terminate()
            sweep.run()
        }
        try await Readiness.socket(socket, of: process)
    }
}

/// The resource usage of a process, from /proc.
public struct ProcessUsage: Sendable {
    /// The CPU time in user and system mode.
    public private(set) var cpuSeconds: Double
    public let peakResidentBytes: UInt64

    /// Reads the usage of a running process; `nil` if it has exited.
    public init?(of pid: pid_t) {
        guard let stat = try? Files.text("/proc/\(pid)/stat"), let status = try? Files.text("/proc/\(pid)/status"),
            // The name in parentheses may contain anything; utime and stime are fields 14 and 15 (proc(5)).
            let fields = stat.split(separator: ")").last?.split(separator: " "), fields.count > 12,
            let user = Double(fields[11]), let system = Double(fields[12])
        else { return nil }
        cpuSeconds = (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
        let peak = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }?.split(separator: " ")
        guard let peak, peak.count > 1, let kibibytes = UInt64(peak[1].drop { $0 == "\t" }) else { return nil }
        peakResidentBytes = kibibytes << 10
    }
    /// Returns the usage with the CPU time of an earlier reading subtracted.
    public func since(_ earlier: ProcessUsage?) -> ProcessUsage {
        var usage = self
        usage.cpuSeconds -= earlier?.cpuSeconds ?? 0
        return usage
    }
}
