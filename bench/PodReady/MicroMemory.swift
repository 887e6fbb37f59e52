import Base
import Glibc
import Lab

/// How long a large layer takes to pull, and how much memory the daemon holds with many files.
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
            try report(daemon.process, "no image")
            for image in images { _ = try await node.client.pull(image.reference) }
            try report(daemon.process, "\(images.count) images of \(images.first?.files ?? 0) files pulled")
            for image in images {
                try await node.withRootFileSystem(of: image.reference, in: lab) { root in
                    _ = try await blocking { try TreeWalk(root, reading: false) }
                }
            }
            try report(daemon.process, "all their files looked at")
        }
        await blocking { registry.stop() }
    }

    /// A registry's storage with all of them, each built if it is not there.
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

    private func report(_ process: ChildProcess, _ what: String) throws {
        guard let usage = ProcessUsage(of: process.pid), let memory = MemoryUse(of: process.pid) else {
            throw LabError(.failed, "rivuletd is gone")
        }
        print(
            "\(what): \(memory.peak >> 20) MiB resident at most, \(memory.resident >> 20) MiB now, "
                + "\(memory.anonymous >> 20) MiB of them its own and not of files, "
                + "\(Format.seconds(usage.cpuSeconds)) s of CPU")
    }
}

/// What /proc says of a process's memory, in bytes.
private struct MemoryUse {
    var peak: UInt64 = 0
    var resident: UInt64 = 0
    var anonymous: UInt64 = 0

    /// Of a process that runs; `nil` when it is gone.
    init?(of pid: pid_t) {
        guard let status = try? Files.text("/proc/\(pid)/status") else { return nil }
        for line in status.split(separator: "\n") {
            let words = line.split { $0 == " " || $0 == "\t" }
            guard words.count == 3, let kibibytes = UInt64(words[1]) else { continue }
            switch words[0] {
            case "VmHWM:": peak = kibibytes << 10
            case "VmRSS:": resident = kibibytes << 10
            case "RssAnon:": anonymous = kibibytes << 10
            default: break
            }
        }
    }
}
