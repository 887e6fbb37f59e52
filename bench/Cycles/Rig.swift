import Base
import ContainerRuntime
import Lab
import Linux
import Synchronization
import TestSupport

/// The real parts of a run: a registry, rivuletd and containerd, all started once.
final class Rig: Sendable {
    private let lab: Lab
    private let daemon: RivuletDaemon
    private let client: ImageClient
    private let maker: ImageMaker
    /// The number of pulls that were repeated because a snapshot below was gone.
    let repeatedPulls = Atomic(0)

    init(in lab: Lab) async throws {
        self.lab = lab
        let pause = "\(lab.directory)/pause.tar"
        try await PauseImage.build(source: "\(Repository.root)/bench/images/pause.c", archive: pause, in: lab)
        let storage = "\(lab.directory)/registry"
        let registry = try await RegistryServer(in: lab, storage: storage)
        let hosts = "\(lab.directory)/hosts"
        try HostsDirectory.write(hosts, port: registry.port)
        daemon = try await RivuletDaemon(
            in: lab, directory: "r", containerd: Containerd.socket(in: lab, name: "c"), hosts: hosts,
            // Starts end soon, so that most are recorded.
            options: "[streaming]\nprofile_quiet = 1\n")
        let containerd = try await Containerd(
            in: lab, name: "c", snapshotter: daemon.name, plugins: [daemon.name: daemon.socket], hosts: hosts)
        client = try ImageClient(containerd)
        try await containerd.importImage(pause)
        maker = try ImageMaker(
            in: lab, storage: storage, port: registry.port, program: try Files.read("\(lab.directory)/pause/pause"))
    }

    /// Deletes all blobs in the registry. No cycle may be in progress, because cycles share blobs.
    func emptyRegistry() throws {
        try maker.removeBlobs()
    }

    func close() async {
        await client.close()
    }

    // MARK: - A cycle

    /// Pulls the images of cycle `number`, reads them, and removes them with everything that belongs to them.
    func cycle(_ number: Int) async throws {
        let kinds = CycleKind.allCases
        let kind = kinds[number % kinds.count]
        do {
            let images = try await maker.make(number, kind)
            for image in images { try await pull(image) }
            for (index, image) in images.enumerated() {
                try await read(image, number, "\(number)-\(index)")
                // Kinds and pods have no common factor, so that every kind gets pods.
                if number % 25 == 0 { try await runPod(image) }
                // The next image is read after this one is gone.
                try await client.remove(image.reference)
            }
            for image in images { try maker.remove(image) }
        } catch {
            throw LabError(
                .failed, "cycle \(number) (\(kind.rawValue)): \(error)\n\(daemon.process.logTail(lines: 20))")
        }
    }

    /// Pulls an image, and tries again like kubelet if containerd has lost a snapshot below.
    ///
    /// containerd looks for the bottom layer's snapshot without a lease on it. Its garbage collection after the removal
    /// of another image can remove that snapshot before containerd prepares the layer above.
    private func pull(_ image: CycleImage) async throws {
        for _ in 0..<9 {
            do {
                return try await client.pull(image.reference)
            } catch let error as ContainerRuntimeError where "\(error)".contains("parent snapshot") {
                repeatedPulls.add(1, ordering: .relaxed)
            }
        }
        try await client.pull(image.reference)
    }

    /// Mounts a container's snapshot of `image` and compares some of its files. Every third image of a kind is read
    /// whole.
    private func read(_ image: CycleImage, _ number: Int, _ key: String) async throws {
        guard let chain = try await client.chain(of: image.reference) else {
            throw LabError(.failed, "containerd does not say which chain \(image.reference) has")
        }
        let mounts = try await client.snapshots.prepare(key, parent: chain)
        let target = "\(lab.directory)/m/\(key)"
        let readsAll = number / CycleKind.allCases.count % 3 == 0
        let files = image.files.filter { readsAll || ($0.key.utf8.last ?? 0) % 3 == 0 }.sorted { $0.key < $1.key }
        try await blocking {
            let mount = try SnapshotMount(mounts, at: target)
            defer { mount.unmount() }
            let remote = mount.lowers.count { (try? Sys.statfs($0).kind) == .fuse }
            let isExpected =
                switch image.streaming {
                case .whole: mount.isStreamed
                case .part: remote > 0 && remote < mount.lowers.count
                case .none: remote == 0
                }
            guard isExpected else {
                throw LabError(.failed, "\(remote) of \(mount.lowers.count) lower directories are streamed")
            }
            for (path, content) in files {
                let found = Files.exists("\(target)/\(path)") ? try Files.read("\(target)/\(path)") : nil
                guard found == content else { throw LabError(.failed, "\(path) has other content") }
            }
            // An upper directory with a file has more to remove.
            try Files.write("\(target)/written", "by cycle \(number)\n")
        }
        try await client.snapshots.remove(key)
    }

    private func runPod(_ image: CycleImage) async throws {
        let name = lab.nextPodName()
        let pod = try await Pod(
            .init(name: name, image: image.reference, command: ["/bin/pause"]), in: lab, client: client.runtime)
        try await pod.remove()
        try? removeTree("\(lab.directory)/pods/\(name)")
    }

    // MARK: - Censuses

    private func census() async throws -> Census {
        try await blocking { [self] in try Census(of: daemon, containerd: client.containerd, in: lab) }
    }

    /// Waits until the daemon has deleted everything that it must and two censuses in a row agree. Returns the last.
    ///
    /// Connections to the registry close after a minute, and the daemon deletes layers that were in use two and a half
    /// minutes later.
    func settledCensus() async throws -> Census {
        var last = try await census()
        for _ in 0..<Self.settling {
            try await Task.sleep(for: .seconds(5))
            let next = try await census()
            let isSettled = next.growth(since: last).isEmpty && last.growth(since: next).isEmpty
            if isSettled, !next.awaitsDeletions { return next }
            last = next
        }
        return last
    }

    /// Takes a census, and returns what has grown since `baseline`. Waits until nothing has, for a bounded time.
    func census(comparedWith baseline: Census) async throws -> (Census, [String]) {
        var last = try await census()
        for _ in 0..<Self.settling where !last.growth(since: baseline).isEmpty {
            try await Task.sleep(for: .seconds(5))
            last = try await census()
        }
        return (last, last.growth(since: baseline))
    }

    /// The most pauses of five seconds before a census.
    private static let settling = 72
}
