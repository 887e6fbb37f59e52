import Base
import Glibc
import Linux
import SystemPackage

/// Removes every trace of a scratch directory: its processes, mounts and control groups, and the directory itself.
///
/// It makes no assumption about the state that they are in.
struct Sweep: Sendable {
    let directory: String
    let controlGroup: String

    /// Removes what a killed process left in `directory`. Does nothing if the directory is in use.
    static func abandoned(_ directory: String, controlGroup: String) {
        guard let lock = try? Sys.open("\(directory)/lock", .readWrite), (try? Sys.tryLock(lock.raw)) == true else {
            return
        }
        Sweep(directory: directory, controlGroup: controlGroup).run()
    }

    func run() {
        // A process that waits for a dead FUSE server cannot even be killed, so its connection is aborted first.
        abortFUSE()
        killProcesses()
        unmountAll()
        removeControlGroups()
        try? removeTree(directory)
    }

    /// Kills only the processes in the lab's control groups.
    func killContainers() {
        for group in controlGroups {
            let text = (try? Files.text("\(group)/cgroup.procs")) ?? ""
            text.split(separator: "\n").compactMap { pid_t($0) }.forEach { _ = kill($0, SIGKILL) }
        }
    }

    // MARK: - FUSE

    /// The mounts at and below the directory, the latest first.
    private var mounts: [MountEntry] {
        let all = (try? Sys.mounts()) ?? []
        return all.reversed().filter { $0.mountPoint == directory || $0.mountPoint.hasPrefix("\(directory)/") }
    }

    private func abortFUSE() {
        let connections = mounts.filter { $0.fileSystem == "fuse" || $0.fileSystem.hasPrefix("fuse.") }
        guard !connections.isEmpty else { return }
        let control = "/sys/fs/fuse/connections"
        if (try? Sys.isMountPoint(control)) != true {
            try? Sys.mount("fusectl", on: control, type: "fusectl")
        }
        for connection in connections {
            // The minor device number names the connection.
            guard let minor = connection.device.split(separator: ":").last else { continue }
            try? Sys.writeFile("\(control)/\(minor)/abort", Array("1".utf8))
        }
    }

    private func unmountAll() {
        for mount in mounts {
            try? Sys.unmount(mount.mountPoint, [.detach, .noFollow])
        }
    }

    // MARK: - Processes

    private func killProcesses() {
        let deadline = MonotonicTime.now().advanced(by: 10_000_000_000)
        while MonotonicTime.now() < deadline {
            let left = processes()
            if left.isEmpty { return }
            left.forEach { _ = kill($0, SIGKILL) }
            thaw()
            usleep(10_000)
        }
    }

    /// Thaws the control groups.
    ///
    /// runc freezes a container while it kills its processes. If runc itself is killed meanwhile, they remain frozen
    /// and cannot die.
    private func thaw() {
        for group in controlGroups {
            for (file, state) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")]
            where Files.exists("\(group)/\(file)") {
                try? Sys.writeFile("\(group)/\(file)", Array(state.utf8))
            }
        }
    }

    /// Returns the processes in the lab's control groups, and those with a path of the lab on their command line.
    ///
    /// containerd's shims, for example, are found by their command line.
    private func processes() -> Set<pid_t> {
        var result = Set<pid_t>()
        for group in controlGroups {
            let text = (try? Files.text("\(group)/cgroup.procs")) ?? ""
            result.formUnion(text.split(separator: "\n").compactMap { pid_t($0) })
        }
        let own = getpid()
        for entry in (try? Sys.list("/proc")) ?? [] {
            guard let pid = pid_t(entry.text), pid != own,
                let line = try? Sys.readFile("/proc/\(pid)/cmdline", limit: 1 << 20),
                String(decoding: line, as: UTF8.self).contains("\(directory)/"),
                // A zombie cannot be killed again.
                (try? Files.text("/proc/\(pid)/stat"))?.split(separator: ")").last?.hasPrefix(" Z") == false
            else { continue }
            result.insert(pid)
        }
        return result
    }

    // MARK: - Control groups

    /// The lab's control groups in every hierarchy of version 1 and in that of version 2, deepest first.
    private var controlGroups: [String] {
        let top = "/sys/fs/cgroup"
        var roots = [top]
        roots += ((try? Sys.list(top)) ?? []).filter { $0.kind == .directory }.map { "\(top)/\($0.text)" }
        return roots.map { $0 + controlGroup }.filter(Files.exists).flatMap(Self.below)
    }

    private static func below(_ directory: String) -> [String] {
        let children = ((try? Sys.list(directory)) ?? []).filter { $0.kind == .directory }
        return children.flatMap { below("\(directory)/\($0.text)") } + [directory]
    }

    private func removeControlGroups() {
        for group in controlGroups {
            try? Sys.removeDirectory(group)
        }
    }
}
