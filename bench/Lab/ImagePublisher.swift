/// Pushes images to a registry, in the plain form and in the streamable forms.
public struct ImagePublisher: Sendable {
    private let lab: Lab
    private let containerd: Containerd
    private let registryPort: Int

    /// Starts a containerd that the publisher uses.
    public init(in lab: Lab, registryPort: Int, teardown: Teardown? = nil) async throws(LabError) {
        self.lab = lab
        self.registryPort = registryPort
        containerd = try await Containerd(
            in: lab, name: "publisher", snapshotter: "overlayfs", hosts: "\(lab.directory)/none", teardown: teardown)
    }

    /// Imports `archive`, whose image is called `reference`, and pushes it.
    ///
    /// If `estargz` is not `nil`, also converts the image and pushes the result under that name. All references name
    /// the registry ``HostsDirectory/registry``.
    public func publish(
        archive: String, reference: String, estargz: String? = nil,
        progress: @Sendable (String) -> Void = { _ in }
    ) async throws(LabError) {
        // The image is not unpacked, because nothing runs here.
        try await containerd.ctr(["images", "import", "--no-unpack", archive])
        progress("pushing \(reference)")
        try await push(reference)
        guard let estargz else { return }
        progress("converting to eStargz")
        try await convert(reference, to: estargz, ["--estargz"])
    }

    /// Creates and pushes another form of an image whose plain form is in the registry.
    public func add(
        _ form: ImageForm, of recipe: ImageRecipe, progress: @Sendable (String) -> Void = { _ in }
    ) async throws(LabError) {
        guard form != .plain else { return }
        // `ctr` stores the image under the name that it fetches it by, which is not the lab's name.
        let plain = "127.0.0.1:\(registryPort)/\(recipe.path(.plain))"
        let target = recipe.reference(form)
        try await containerd.ctr(["content", "fetch", "--plain-http", plain])
        progress("\(recipe.name): converting to \(form.rawValue)")
        switch form {
        case .plain: break
        case .estargz: try await convert(["convert", "--oci", "--estargz", plain, target])
        case .zstdChunked: try await convert(["convert", "--oci", "--zstdchunked", plain, target])
        case .estargzOptimised:
            // This runs the image and observes its reads. Servers need the loopback device.
            try await convert(
                ["optimize", "--oci", "--net-host", "--period", "\(Self.optimisingSeconds)", plain, target])
        case .artifact, .artifactPredicted, .artifactPack:
            try await containerd.ctr(["images", "tag", plain, target])
        }
        progress("\(recipe.name): pushing \(form.rawValue)")
        try await push(target)
        guard form.hasArtifact else { return }
        progress("\(recipe.name): creating its streaming artifact")
        try await addArtifact(to: target, predicts: form == .artifactPredicted)
    }

    /// Converts a pushed image with ctr-remote, and pushes the result.
    public func convert(_ reference: String, to target: String, _ options: [String]) async throws(LabError) {
        try await convert(["convert", "--oci"] + options + [reference, target])
        try await push(target)
    }

    /// Creates the streaming artifact of a pushed image.
    ///
    /// The artifact gets a startup pack from `profile`, or a predicted one if `predicts` is true.
    public func addArtifact(
        to reference: String, profile: [UInt8]? = nil, predicts: Bool = false
    ) async throws(LabError) {
        let path = reference.drop { $0 != "/" }
        var arguments = [
            try Repository.product("rivulet"), "artifact-streaming", "create", "--image",
            "127.0.0.1:\(registryPort)\(path)",
        ]
        if let profile {
            let file = "\(lab.directory)/image.profile"
            try Files.write(file, String(decoding: profile, as: UTF8.self))
            arguments += ["--profile", file]
        } else if !predicts {
            arguments.append("--no-pack")
        }
        try await Command.run(arguments, in: lab, timeout: 1200)
    }

    /// Imports `archive`, whose image is called `name`, and pushes it as `reference`.
    public func publish(archive: String, reference: String, as name: String) async throws(LabError) {
        try await containerd.ctr(["images", "import", "--no-unpack", archive])
        try await containerd.ctr(["images", "tag", name, reference])
        try await push(reference)
    }

    /// The time that `optimize` observes an image, in seconds. All content is local, so each image is ready long
    /// before.
    private static let optimisingSeconds = 20

    private func convert(_ arguments: [String]) async throws(LabError) {
        try await containerd.ctr(["images"] + arguments, program: "ctr-remote", timeout: 1200)
    }

    private func push(_ reference: String) async throws(LabError) {
        let path = reference.drop { $0 != "/" }
        try await containerd.ctr(
            ["images", "push", "--plain-http", "127.0.0.1:\(registryPort)\(path)", reference], timeout: 600)
    }
}
