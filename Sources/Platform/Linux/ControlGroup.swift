public import Glibc
public import SystemPackage

/// A control group (cgroups(7), version 2). It limits the resources of a child process.
///
/// This type creates groups only below a group that the service manager has delegated. The manager marks such a group
/// with the extended attribute `trusted.delegate` or `user.delegate` on its directory (systemd.resource-control(5),
/// "Delegate=").
public struct ControlGroup: Sendable, Equatable {
    /// The resource limits of the group.
    public struct Limits: Sendable {
        /// The maximum size of the group's memory in bytes. The group cannot use swap.
        public var memory: UInt64
        /// The relative share of CPU time under contention (`cpu.weight`), from 1 to 10,000. The kernel's default is
        /// 100.
        public var processorWeight: Int
        /// The maximum number of processes and threads together.
        public var processes: Int

        public init(memory: UInt64, processorWeight: Int, processes: Int) {
            self.memory = memory
            self.processorWeight = processorWeight
            self.processes = processes
        }
    }

    /// The group's directory.
    public let path: String

    public init(path: String) {
        self.path = path
    }

    /// Creates the groups `own` and `name` in the current group of `process`, and moves `process` into `own`. Without
    /// the move, the kernel would refuse `limits`, because a group that contains processes cannot set limits for its
    /// child groups.
    ///
    /// If an earlier call has already moved `process` into a group `own`, uses that group and its parent.
    ///
    /// - Parameters:
    ///   - own: the name of the group for `process`. This group has no limits.
    ///   - name: the name of the group with `limits`, for a child process.
    ///   - limits: the limits of the group `name`. A limit whose controller is unavailable is not set.
    ///   - process: the ID of the process to move, by default this one.
    /// - Returns: the group `name`; `nil` if the parent of the two groups is not a delegated group of version 2. In
    ///   that case, this function has changed nothing.
    public static func beside(
        own: String, name: String, limits: Limits, process: Int32 = getpid()
    ) throws(Errno) -> ControlGroup? {
        let text = String(decoding: try Sys.readFile("/proc/\(process)/cgroup", limit: 1 << 16), as: UTF8.self)
        // The line of version 2 begins with "0::": hierarchy 0, no controller names.
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("0::/") }) else { return nil }
        guard let mount = try Sys.mounts().first(where: { $0.fileSystem == "cgroup2" })?.mountPoint else { return nil }
        var parent = mount + String(line.dropFirst(3))
        while parent.hasSuffix("/") { parent.removeLast() }
        // After an exec, this process is already in the group `own`, which it created before.
        if parent.hasSuffix("/\(own)") { parent.removeLast(own.utf8.count + 1) }
        guard isDelegated(parent) else { return nil }
        let group = ControlGroup(path: "\(parent)/\(name)")
        for directory in ["\(parent)/\(own)", group.path] {
            do throws(Errno) {
                try Sys.makeDirectory(directory)
            } catch .fileExists {}
        }
        try write("\(process)", to: "\(parent)/\(own)/cgroup.procs")
        let offered = String(decoding: try Sys.readFile("\(parent)/cgroup.controllers", limit: 4096), as: UTF8.self)
            .split(whereSeparator: \.isWhitespace)
        for controller in ["cpu", "memory", "pids"] where offered.contains(Substring(controller)) {
            try write("+\(controller)", to: "\(parent)/cgroup.subtree_control")
            switch controller {
            case "cpu": try write("\(limits.processorWeight)", to: "\(group.path)/cpu.weight")
            case "pids": try write("\(limits.processes)", to: "\(group.path)/pids.max")
            default:
                try write("\(limits.memory)", to: "\(group.path)/memory.max")
                // Kernels without swap accounting lack the file.
                try? write("0", to: "\(group.path)/memory.swap.max")
            }
        }
        return group
    }

    /// Moves a process into the group.
    public func add(_ process: Int32) throws(Errno) {
        try Self.write("\(process)", to: "\(path)/cgroup.procs")
    }

    private static func isDelegated(_ directory: String) -> Bool {
        ["trusted.delegate", "user.delegate"].contains { name in
            (try? Sys.extendedAttribute(directory, name)) == Array("1".utf8)
        }
    }

    private static func write(_ text: String, to file: String) throws(Errno) {
        let descriptor = try Sys.open(file, .writeOnly)
        try Array(text.utf8).withUnsafeBytesTyped { (bytes) throws(Errno) in try Sys.writeAll(descriptor.raw, bytes) }
    }
}
