import FoundationEssentials
import Glibc
public import Lab

/// The first line of a results file: the subject, machine and setup of the measurement.
public struct HeaderRecord: Sendable, Codable, Equatable {
    public struct Machine: Sendable, Codable, Equatable {
        public var cpu: String
        public var cores: Int
        public var memoryBytes: UInt64

        enum CodingKeys: String, CodingKey {
            case cpu, cores
            case memoryBytes = "memory_bytes"
        }
    }

    public var record = "header"
    /// Incremented when the file's format changes.
    public var version = 1
    public var name: String
    /// The time at which the run began, in ISO 8601.
    public var began: String
    /// The commit of the source, with the suffix `-dirty` if it was modified.
    public var commit: String
    public var machine: Machine
    public var kernel: String
    public var system: String
    public var versions: [String: String]
    public var grid: GridPlan

    /// Creates the header of a new file from the properties of this machine.
    public init(name: String, grid: GridPlan, in lab: Lab) async throws(LabError) {
        self.name = name
        self.grid = grid
        began = Date.now.formatted(.iso8601)
        let models = try Files.text("/proc/cpuinfo").split(separator: "\n").filter { $0.hasPrefix("model name") }
        let memory = try Files.text("/proc/meminfo").split(separator: "\n").first.map {
            $0.split(separator: " ").dropFirst().first.flatMap { UInt64($0) } ?? 0
        }
        machine = Machine(
            cpu: models.first.map { String($0.drop { $0 != ":" }.dropFirst(2)) } ?? "unknown",
            cores: sysconf(Int32(_SC_NPROCESSORS_ONLN)),
            memoryBytes: (memory ?? 0) << 10)
        kernel = Self.firstLine(try Files.text("/proc/sys/kernel/osrelease"))
        let release = try Files.text("/etc/os-release").split(separator: "\n").first { $0.hasPrefix("PRETTY_NAME=") }
        system = release.map { $0.dropFirst(12).filter { $0 != "\"" } } ?? "unknown"
        commit = await Self.commit(in: lab)
        versions = [:]
        for (part, command) in Self.commands {
            if let line = await Self.line(of: command, in: lab) { versions[part] = line }
        }
    }

    private static let commands: [String: [String]] = [
        "containerd": ["containerd", "--version"],
        "runc": ["runc", "--version"],
        "docker-registry": ["docker-registry", "--version"],
        "stargz-snapshotter": [
            "dpkg-query", "-W", "-f", "${Version}", "golang-github-containerd-stargz-snapshotter-dev",
        ],
        "ctr-remote": ["dpkg-query", "-W", "-f", "${Version}", "stargz-snapshotter"],
    ]

    /// Returns the first difference that forbids `other` to add to the file; `nil` if there is none.
    public func difference(from other: HeaderRecord) -> String? {
        let pairs = [
            ("commit", commit, other.commit), ("kernel", kernel, other.kernel),
            ("processor", "\(machine.cpu) × \(machine.cores)", "\(other.machine.cpu) × \(other.machine.cores)"),
            ("edition", grid.edition.rawValue, other.grid.edition.rawValue),
            ("seed", "\(grid.seed)", "\(other.grid.seed)"),
            ("images", grid.images.joined(separator: ","), other.grid.images.joined(separator: ",")),
            ("networks", grid.networks.joined(separator: ","), other.grid.networks.joined(separator: ",")),
            ("modes", grid.modes.joined(separator: ","), other.grid.modes.joined(separator: ",")),
            ("waiting for all of the image", "\(grid.complete)", "\(other.grid.complete)"),
        ]
        return pairs.first { $0.1 != $0.2 }.map { "\($0.0): \($0.1), now \($0.2)" }
    }

    private static func firstLine(_ text: String) -> String {
        text.split(separator: "\n").first.map(String.init) ?? ""
    }

    private static func line(of command: [String], in lab: Lab) async -> String? {
        guard let output = try? await Command.run(command, in: lab, timeout: 10) else { return nil }
        let line = firstLine(output)
        return line.isEmpty ? nil : line
    }

    private static func commit(in lab: Lab) async -> String {
        // The directory may belong to a user other than root.
        let git = ["git", "-c", "safe.directory=*", "-C", Repository.root]
        guard let hash = await line(of: git + ["rev-parse", "HEAD"], in: lab) else { return "unknown" }
        let changes = await line(
            of: git + ["status", "--porcelain", "--untracked-files=no", "--", ".", ":!bench/results"], in: lab)
        return changes == nil ? hash : hash + "-dirty"
    }
}
