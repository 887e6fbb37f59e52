public import Base
import Linux

/// Builds images with the scripts in `bench/images`.
public struct ImageBuilder: Sendable {
    let lab: Lab
    let progress: @Sendable (String) -> Void

    static let scripts = "\(Repository.root)/bench/images"

    public init(lab: Lab, progress: @escaping @Sendable (String) -> Void) {
        self.lab = lab
        self.progress = progress
    }

    /// Builds the image in `work`, a temporary directory that must not exist yet, and pushes the image's plain form.
    func build(_ recipe: ImageRecipe, work: String, registryStorage: String) async throws(LabError) {
        let archive = "\(work)/image.tar"
        try await write(recipe, to: archive, work: work)
        try await publish(in: registryStorage) { _, publisher throws(LabError) in
            try await publisher.publish(archive: archive, reference: recipe.reference(.plain)) {
                progress("\(recipe.name): \($0)")
            }
        }
        try await Command.run(["rm", "-r", work], in: lab)
    }

    /// Adds `forms` of an image whose plain form exists.
    func add(
        _ forms: [ImageForm], of recipe: ImageRecipe, registryStorage: String, pauseArchive: String
    ) async throws(LabError) {
        try await publish(in: registryStorage) { registry, publisher throws(LabError) in
            for form in forms {
                try await publisher.add(form, of: recipe, progress: progress)
                if form == .artifactPack { try await addPack(to: recipe, form, registry, publisher, pauseArchive) }
            }
        }
    }

    /// Runs the image once, and adds a startup pack of its reads to its artifact.
    private func addPack(
        to recipe: ImageRecipe, _ form: ImageForm, _ registry: RegistryServer, _ publisher: ImagePublisher,
        _ pauseArchive: String
    ) async throws(LabError) {
        progress("\(recipe.name): recording its reads")
        let profile: [UInt8]
        do {
            profile = try await ProfileRecorder.record(
                recipe, form, in: lab, registry: registry, pauseArchive: pauseArchive, seconds: 300)
        } catch {
            throw LabError(.failed, "failed to record the profile of \(recipe.name): \(error)", cause: error)
        }
        progress("\(recipe.name): creating its startup pack")
        try await publisher.addArtifact(to: recipe.reference(form), profile: profile)
    }

    private func publish(
        in registryStorage: String, _ body: (RegistryServer, ImagePublisher) async throws(LabError) -> Void
    ) async throws(LabError) {
        let part = try lab.teardown.nested("image builder")
        do throws(LabError) {
            let server = try await RegistryServer(in: lab, storage: registryStorage, teardown: part)
            try await body(server, try await ImagePublisher(in: lab, registryPort: server.port, teardown: part))
        } catch {
            await blocking { part.run() }
            throw error
        }
        await blocking { part.run() }
    }

    /// Builds the image's layers, uncompressed and bottom first, as files in `work`.
    public func layers(of recipe: ImageRecipe, work: String) async throws(LabError) -> [String] {
        try Files.makeDirectory(work)
        progress("\(recipe.name): building \(recipe.stages.count + 1) layers")
        var base: [String] = []
        if case .files(let packages) = recipe.base { base = ["--files", packages] }
        let stages = recipe.stages.map { stage in
            switch stage {
            case .packages(let names): "apt \(names)"
            case .script(let path, let arguments): (["run", path] + arguments).joined(separator: " ")
            case .application(let directory): "copy \(directory)"
            }
        }
        try await Command.run(
            ["bash", "\(Self.scripts)/debian-layers.sh"] + base + [work] + stages, in: lab, timeout: 1200)
        return (0...recipe.stages.count).map { "\(work)/\($0).tar" }
    }

    private func write(_ recipe: ImageRecipe, to archive: String, work: String) async throws(LabError) {
        var image = OCIArchive(reference: recipe.reference(.plain))
        image.layers = try await layers(of: recipe, work: work)
        image.command = recipe.command
        image.environment += recipe.environment
        progress("\(recipe.name): compressing")
        try await image.write(to: archive, in: lab)
    }

    // MARK: - Keys

    /// Returns a key that changes with every input of the image.
    ///
    /// The key does not notice Debian's own updates. To rebuild an image after an update, remove its directory.
    static func key(of recipe: ImageRecipe) throws(LabError) -> String {
        var files = ["debian.sh", "debian-layers.sh"]
        for recipe in recipe.predecessors + [recipe] {
            for stage in recipe.stages {
                switch stage {
                case .packages: break
                case .application(let directory): files += try below(directory)
                case .script(let path, let arguments):
                    // A script may use any file in its directory. A shared script declares its inputs.
                    let parts = ([path] + arguments).flatMap { $0.split(separator: "/").dropLast() }
                    for directory in Set(parts) { files += try below(String(directory)) }
                    if !path.contains("/") { files.append(path) }
                }
            }
        }
        let texts = (recipe.predecessors + [recipe]).map(\.ingredients)
        return try key(files: Set(files).sorted(), texts: texts)
    }

    /// Returns a key of the contents of `files`, which are below ``scripts``, and of `texts`.
    static func key(files: [String], texts: [String] = []) throws(LabError) -> String {
        var text = "2 \(texts)"
        for file in files { text += "\n\(file) \(try Files.digest("\(scripts)/\(file)").digest)" }
        return String(Digest.of(Array(text.utf8)).hex.prefix(16))
    }

    private static func below(_ directory: String) throws(LabError) -> [String] {
        do {
            return try Sys.list("\(scripts)/\(directory)").filter { $0.kind == .regular }
                .map { "\(directory)/\($0.text)" }
        } catch {
            throw LabError(.files, "\(directory) is not in bench/images", cause: error)
        }
    }
}
