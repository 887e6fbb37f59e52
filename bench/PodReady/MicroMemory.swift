import Base
import ContainerRuntime
import Glibc
import Lab

/// Measures the pull time of a large layer, and the daemon's memory with many files.
struct MicroMemory: Sendable {
    let micro: MicroLab
    let images: [ManyFiles]
    let layer: ManyFiles

    private var lab: Lab { micro.lab }

    func run() async throws {
        let storage = try await publish()
        let pause = try await micro.cache.pauseArchive(in: lab)
        let registry = try await RegistryServer(in: lab, storage: storage)
        let snapshotter = Node.Snapshotter.rivulet(options: "[streaming]\nbackground_fill = false\n")
        try await Node.with(
            "many", in: lab, snapshotter: snapshotter, registry: registry, pauseArchive: pause
        ) { node in
            let began = MonotonicTime.now()
            _ = try await node.client.pull(layer.reference)
            let seconds = Double(MonotonicTime.now().since(began)) / 1e9
            print("a layer of \(layer.files) files: pulled in \(Format.seconds(seconds)) s")
        }
        try await Node.with(
            "memory", in: lab, snapshotter: snapshotter, registry: registry, pauseArchive: pause
        ) { node in
            guard let daemon = node.daemon else { return }
            try report(daemon, "no image")
            for image in images { _ = try await node.client.pull(image.reference) }
            try report(daemon, "\(images.count) images of \(images.first?.files ?? 0) files pulled")
            for image in images {
                try await node.withRootFileSystem(of: image.reference, in: lab) { root in
                    _ = try await blocking { try TreeWalk(root, reading: false) }
                }
            }
            try report(daemon, "all their files looked at")
        }
        await blocking { registry.stop() }
    }

    /// Returns the storage of a registry with all images. Builds images that are missing.
    private func publish() async throws -> String {
        let storage = "\(micro.cache.directory)/many-files"
        let missing = (images + [layer]).filter { !$0.isIn(storage) }
        if missing.isEmpty { return storage }
        let part = try lab.teardown.nested("image builder")
        let registry = try await RegistryServer(in: lab, storage: storage, teardown: part)
        let publisher = try await ImagePublisher(in: lab, registryPort: registry.port, teardown: part)
        for image in missing {
            print("building \(image.reference)")
            try await image.publish(with: publisher, work: "\(lab.directory)/many", in: lab)
        }
        await blocking { part.run() }
        return storage
    }

    private func report(_ daemon: any SnapshotterDaemon, _ what: String) throws {
        let pid = daemon.process.pid
        guard let usage = ProcessUsage(of: pid), let memory = MemoryUse(of: pid, kept: lab.directory) else {
            throw LabError(.failed, "rivuletd is gone")
        }
        func mebibytes(_ bytes: UInt64) -> String { Format.seconds(Double(bytes) / 1_048_576) }
        print(
            "\(what): \(mebibytes(usage.peakResidentBytes)) MiB resident at most; now \(mebibytes(memory.anonymous)) "
                + "of its own, \(mebibytes(memory.kept)) of mapped trees, \(mebibytes(memory.programs)) of programs and "
                + "libraries; \(Format.seconds(usage.cpuSeconds)) s of CPU")
    }
}

/// The memory of a process by origin, in bytes.
private struct MemoryUse {
    /// The size of the heap, stacks, and all other written memory.
    var anonymous: UInt64 = 0
    /// The size of the pages of the daemon's files, which the kernel reclaims under memory pressure.
    var kept: UInt64 = 0
    /// The size of the pages of programs and libraries.
    var programs: UInt64 = 0

    /// Reads the memory use of a running process from proc_pid_smaps(5); `nil` if it has exited.
    ///
    /// - Parameter directory: the directory of the daemon's files.
    init?(of pid: pid_t, kept directory: String) {
        guard let maps = try? Files.text("/proc/\(pid)/smaps") else { return nil }
        var isKept = false
        var resident: UInt64 = 0
        for line in maps.split(separator: "\n") {
            let words = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
            guard let first = words.first else { continue }
            if !first.hasSuffix(":") {
                isKept = words.count > 5 && words[5].drop { $0 == " " }.hasPrefix("\(directory)/")
            } else if words.count > 1, let bytes = UInt64(words[1]).map({ $0 << 10 }) {
                if first == "Rss:" { resident = bytes }
                // This line follows the one of Rss.
                if first == "Anonymous:" {
                    anonymous += bytes
                    if isKept { kept += resident - bytes } else { programs += resident - bytes }
                }
            }
        }
    }
}
