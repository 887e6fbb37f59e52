import ArgumentParser
import ContainerRuntime
import Lab

/// `PodReady micro`: measures the daemon's own costs on real images.
struct MicroCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "micro",
        abstract: "Measure memory, walks and reads beside overlayfs.")

    /// The measurements, which are independent of each other.
    enum Part: String, CaseIterable, ExpressibleByArgument {
        case memory, walk, fio
    }

    @Option(parsing: .upToNextOption, help: "Measurements: memory, walk, fio.")
    var parts = Part.allCases

    @Option(help: "Where built images are kept.")
    var cache: String

    @Option(help: "Where the scratch directory is made; not on an overlay.")
    var scratch = "/var/tmp"

    @Option(help: "memory: the number of images mounted at once.")
    var images = 5

    @Option(help: "memory: the number of files in each image.")
    var files = 50_000

    @Option(help: "memory: the number of files in one large layer, whose pull is timed.")
    var layer = 100_000

    @Option(help: "fio: the seconds for each figure.")
    var seconds = 5

    @Flag(help: "fio: read the big-file image of the small edition.")
    var small = false

    func run() async throws {
        try await Lab.guarded(parent: scratch) { lab in
            let micro = MicroLab(lab: lab, cache: ImageCache(directory: cache))
            if parts.contains(.memory) {
                let memory = MicroMemory(
                    micro: micro, images: (0..<images).map { ManyFiles(files: files, variant: $0) },
                    layer: ManyFiles(files: layer, variant: images))
                try await memory.run()
            }
            if parts.contains(.walk) { try await MicroWalk(micro: micro).run() }
            if parts.contains(.fio) {
                try await MicroFio(micro: micro, edition: small ? .small : .full, seconds: seconds).run()
            }
        }
    }
}

/// The environment of the micro-benchmarks.
struct MicroLab: Sendable {
    let lab: Lab
    let cache: ImageCache

    /// Runs `body` twice with the root file system of a container of `recipe`: through containerd's overlayfs and
    /// through Rivulet.
    ///
    /// Each time uses its own node.
    func roots(
        of recipe: ImageRecipe, _ body: @escaping @Sendable (_ name: String, _ root: String) async throws -> Void
    ) async throws {
        let image = try await cache.image(recipe, in: lab) { print($0) }
        let registry = try await RegistryServer(in: lab, storage: image.registryStorage)
        for (name, snapshotter, form) in [
            ("overlayfs", Node.Snapshotter.overlayfs, ImageForm.plain), ("rivulet", .rivulet(options: ""), .estargz),
        ] {
            try await Node.with(
                "micro-\(name)", in: lab, snapshotter: snapshotter, registry: registry,
                pauseArchive: image.pauseArchive
            ) { node in
                let reference = recipe.reference(form)
                _ = try await node.client.pull(reference)
                try await node.withRootFileSystem(of: reference, in: lab) { try await body(name, $0) }
            }
        }
        await blocking { registry.stop() }
    }

    /// Prints a row of a table.
    static func printRow(_ title: String, _ cells: [String]) {
        print(Format.left(title, 32) + cells.map { Format.right($0, 12) }.joined())
    }
}
