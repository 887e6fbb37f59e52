import ArgumentParser
import Base
import Lab

/// `PodReady micro`: memory, metadata and warm reads of the daemon on real images.
struct MicroCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "micro",
        abstract: "Measures pulls and memory with many files, and walks through Rivulet beside overlayfs.")

    @Option(help: "Where built images are kept.")
    var cache: String

    @Option(help: "Where the scratch directory is made; not on an overlay.")
    var scratch = "/var/tmp"

    @Option(help: "Images that are mounted at once.")
    var images = 5

    @Option(help: "Files in each of them.")
    var files = 50_000

    @Option(help: "Files in one large layer whose pull is timed.")
    var layer = 100_000

    func run() async throws {
        let lab = try Lab(parent: scratch)
        try SignalGuard.install(lab.teardown)
        let outcome: Result<Void, any Error>
        do {
            let micro = Micro(
                lab: lab, cache: ImageCache(directory: cache),
                images: (0..<images).map { ManyFiles(files: files, variant: $0) },
                layer: ManyFiles(files: layer, variant: images))
            try await micro.run()
            outcome = .success(())
        } catch {
            outcome = .failure(error)
        }
        await blocking { lab.teardown.run() }
        try outcome.get()
    }
}

private struct Micro: Sendable {
    let lab: Lab
    let cache: ImageCache
    let images: [ManyFiles]
    let layer: ManyFiles
    private let recipe = ImageRecipe.numpy

    func run() async throws {
        let numpy = try await cache.image(recipe, in: lab) { print($0) }
        try await manyFiles(pauseArchive: numpy.pauseArchive)
        try await walks(numpy)
    }

    // MARK: Many files

    private func manyFiles(pauseArchive: String) async throws {
        let all = images + [layer]
        let name = "files-" + all.map { "\($0.files)" }.joined(separator: "-")
        let storage = try await cache.entry(name, in: lab) { path throws(LabError) in
            let part = try lab.teardown.nested("image builder")
            let registry = try await RegistryServer(in: lab, storage: path, teardown: part)
            let publisher = try await ImagePublisher(in: lab, registryPort: registry.port, teardown: part)
            for image in all {
                print("building \(image.reference)")
                try await image.publish(with: publisher, work: "\(lab.directory)/many", in: lab)
            }
            await blocking { part.run() }
        }
        let registry = try await RegistryServer(in: lab, storage: storage)
        let options = "[streaming]\nbackground_fill = false\n"
        try await Node.with(
            "many", in: lab, snapshotter: .rivulet(options: options), registry: registry, pauseArchive: pauseArchive
        ) { node in
            let began = MonotonicTime.now()
            _ = try await node.client.pull(layer.reference)
            let seconds = Double(MonotonicTime.now().since(began)) / 1e9
            print("a layer of \(layer.files) files: pulled in \(Format.seconds(seconds)) s")
        }
        try await Node.with(
            "memory", in: lab, snapshotter: .rivulet(options: options), registry: registry,
            pauseArchive: pauseArchive
        ) { node in
            guard let daemon = node.daemon else { return }
            for image in images { _ = try await node.client.pull(image.reference) }
            try report(daemon.process, "\(images.count) images of \(images.first?.files ?? 0) files mounted")
            for image in images {
                try await node.withRootFileSystem(of: image.reference, in: lab) { root in
                    _ = try await blocking { try TreeWalk(root, reading: false) }
                }
            }
            try report(daemon.process, "all their files looked at")
        }
    }

    private func report(_ process: ChildProcess, _ what: String) throws {
        guard let usage = ProcessUsage(of: process.pid) else { throw LabError(.failed, "rivuletd is gone") }
        print(
            "\(what): \(usage.peakResidentBytes >> 20) MiB resident at most, "
                + "\(Format.seconds(usage.cpuSeconds)) s of CPU")
    }

    // MARK: Walks

    private func walks(_ image: ImageCache.Entry) async throws {
        let registry = try await RegistryServer(in: lab, storage: image.registryStorage)
        print("")
        print(
            Format.left("complete image", 24)
                + ["list µs", "lstat µs", "read"].map { Format.right($0, 12) }.joined())
        for (name, snapshotter, form) in [
            ("overlayfs", Node.Snapshotter.overlayfs, ImageForm.plain), ("rivulet", .rivulet(options: ""), .estargz),
        ] {
            try await Node.with(
                "walk-\(name)", in: lab, snapshotter: snapshotter, registry: registry,
                pauseArchive: image.pauseArchive
            ) { node in
                let reference = recipe.reference(form)
                _ = try await node.client.pull(reference)
                try await node.withRootFileSystem(of: reference, in: lab) { root in
                    try await blocking {
                        _ = try TreeWalk(root, reading: true)
                        let warm = try TreeWalk(root, reading: true)
                        try PageCache.drop()
                        let cold = try TreeWalk(root, reading: true)
                        for (state, walk) in [("cold", cold), ("warm", warm)] {
                            print(
                                Format.left("\(name), \(state)", 24)
                                    + walk.cells.map { Format.right($0, 12) }.joined())
                        }
                    }
                }
            }
        }
    }
}
