import Base
import Glibc
import Linux
import SystemPackage

/// What an image is made of.
public struct ImageRecipe: Sendable {
    /// The repository's name in the registry.
    public var repository: String
    /// One layer each on top of a minimal Debian: package names separated by spaces.
    public var packages: [String]
    /// A directory below `bench/images` that becomes the last layer, as `/app`.
    public var application: String
    public var command: [String]

    public init(repository: String, packages: [String], application: String, command: [String]) {
        self.repository = repository
        self.packages = packages
        self.application = application
        self.command = command
    }

    /// Debian, Python and numpy, with an application that imports it and writes `ready`.
    public static let numpy = ImageRecipe(
        repository: "demo/numpy", packages: ["python3", "python3-numpy"], application: "numpy",
        command: ["python3", "/app/app.py"])

    /// The image's full name in one of its forms.
    public func reference(_ form: ImageForm) -> String {
        "\(HostsDirectory.registry)/\(repository):\(form.rawValue)"
    }
}

/// The forms in which the same image is in the registry.
public enum ImageForm: String, Sendable, CaseIterable {
    /// gzip layers, as any builder makes them.
    case plain
    case estargz
}

/// Images that were built once, each with a registry's storage that holds all its forms.
///
/// An image is named by what it was made from: another recipe, script or application is another directory.
public struct ImageCache: Sendable {
    /// Where the cached images are.
    public let directory: String
    private static let scripts = "\(Repository.root)/bench/images"

    public init(directory: String) {
        self.directory = directory
    }

    /// A built image.
    public struct Entry: Sendable {
        /// For ``RegistryServer``.
        public let registryStorage: String
        /// The OCI archive of the sandbox image.
        public let pauseArchive: String
        /// Uncompressed layers, bottom first.
        public let layers: [String]
    }

    /// The image of `recipe`, built now if it is not there. `progress` is told what is being done.
    public func image(
        _ recipe: ImageRecipe, in lab: Lab, progress: @escaping @Sendable (String) -> Void
    ) async throws(LabError) -> Entry {
        let path = try await entry(try key(recipe), in: lab) { path throws(LabError) in
            try await build(recipe, at: path, in: lab, progress: progress)
        }
        return Entry(
            registryStorage: "\(path)/registry", pauseArchive: "\(path)/pause.tar",
            layers: layers(of: recipe).map { "\(path)/layers/\($0)" })
    }

    /// The directory called `name`, made by `build` if it is not there: `build` fills one of another name, which becomes
    /// this one when it is complete.
    public func entry(
        _ name: String, in lab: Lab, build: (String) async throws(LabError) -> Void
    ) async throws(LabError) -> String {
        let path = "\(directory)/\(name)"
        if Files.exists(path) { return path }
        let building = "\(path).building-\(getpid())"
        try Files.makeDirectory(building)
        try lab.teardown.add("unfinished image") { try? removeTree(building) }
        try await build(building)
        do {
            try Sys.rename(building, to: path, replacing: false)
        } catch .fileExists {
            // Somebody else has built the same meanwhile.
            try? removeTree(building)
        } catch {
            throw LabError(.files, "\(path) cannot be put in place", cause: error)
        }
        return path
    }

    private func layers(of recipe: ImageRecipe) -> [String] {
        (0...recipe.packages.count).map { "\($0).tar" } + ["app.tar"]
    }

    /// Changes when anything that goes into the image does. Debian's own updates are not seen: remove the directory.
    private func key(_ recipe: ImageRecipe) throws(LabError) -> String {
        var text = "1 \(recipe)"
        var files = ["debian.sh", "debian-layers.sh", "pause.c"].map { "\(Self.scripts)/\($0)" }
        do {
            let application = "\(Self.scripts)/\(recipe.application)"
            files += try Sys.list(application).filter { $0.kind == .regular }.map { "\(application)/\($0.text)" }
                .sorted()
        } catch {
            throw LabError(.files, "\(recipe.application) is not in bench/images", cause: error)
        }
        for file in files {
            text += "\n\(try Files.digest(file).digest)"
        }
        return String(Digest.of(Array(text.utf8)).hex.prefix(16))
    }

    private func build(
        _ recipe: ImageRecipe, at path: String, in lab: Lab, progress: @escaping @Sendable (String) -> Void
    ) async throws(LabError) {
        let work = "\(path)/layers"
        try Files.makeDirectory(work)
        progress("building: Debian and \(recipe.packages.joined(separator: ", "))")
        try await Command.run(
            ["bash", "\(Self.scripts)/debian-layers.sh", work] + recipe.packages, in: lab, timeout: 1200)
        try await Command.run(
            ["tar", "--create", "--file", "\(work)/app.tar"] + OCIArchive.tarOptions
                + ["--directory", "\(Self.scripts)/\(recipe.application)", "--transform", "s,^\\.,app,", "."], in: lab)
        try await PauseImage.build(source: "\(Self.scripts)/pause.c", archive: "\(path)/pause.tar", in: lab)
        progress("compressing layers")
        var image = OCIArchive(reference: recipe.reference(.plain))
        image.layers = layers(of: recipe).map { "\(work)/\($0)" }
        image.command = recipe.command
        try await image.write(to: "\(path)/image.tar", in: lab)
        let part = try lab.teardown.nested("image builder")
        let server = try await RegistryServer(in: lab, storage: "\(path)/registry", teardown: part)
        let publisher = try await ImagePublisher(in: lab, registryPort: server.port, teardown: part)
        try await publisher.publish(
            archive: "\(path)/image.tar", reference: recipe.reference(.plain),
            estargz: recipe.reference(.estargz), progress: progress)
        await blocking { part.run() }
        try await Command.run(["rm", "\(path)/image.tar"], in: lab)
    }
}

/// Turns an OCI archive into what a registry serves: as it is, and as eStargz.
public struct ImagePublisher: Sendable {
    private let containerd: Containerd
    private let registryPort: Int

    /// Starts a containerd for it.
    public init(in lab: Lab, registryPort: Int, teardown: Teardown? = nil) async throws(LabError) {
        self.registryPort = registryPort
        containerd = try await Containerd(
            in: lab, name: "publisher", snapshotter: "overlayfs", hosts: "\(lab.directory)/none", teardown: teardown)
    }

    /// Imports and pushes `archive`, whose image is called `reference`, and with `estargz` converts it and pushes that
    /// too. References are of ``HostsDirectory/registry``.
    public func publish(
        archive: String, reference: String, estargz: String? = nil,
        progress: @Sendable (String) -> Void = { _ in }
    ) async throws(LabError) {
        // Not unpacked: nothing runs here.
        try await containerd.ctr(["images", "import", "--no-unpack", archive])
        progress("pushing \(reference)")
        try await push(reference)
        guard let estargz else { return }
        progress("converting to eStargz")
        try await containerd.ctr(
            ["images", "convert", "--oci", "--estargz", reference, estargz], program: "ctr-remote", timeout: 900)
        progress("pushing \(estargz)")
        try await push(estargz)
    }

    private func push(_ reference: String) async throws(LabError) {
        let path = reference.drop { $0 != "/" }
        try await containerd.ctr(["images", "push", "--plain-http", "127.0.0.1:\(registryPort)\(path)", reference])
    }
}
