/// Pushes images to a registry: the plain form, and the streamable forms.
public struct ImagePublisher: Sendable {
    private let lab: Lab
    private let containerd: Containerd
    private let registryPort: Int

    /// Starts a containerd for the publisher.
    public init(in lab: Lab, registryPort: Int, teardown: Teardown? = nil) async throws(LabError) {
        self.lab = lab
        self.registryPort = registryPort
        containerd = try await Containerd(
            in: lab, name: "publisher", snapshotter: "overlayfs", hosts: "\(lab.directory)/none", teardown: teardown)
    }

    /// Imports and pushes `archive`, whose image is called `reference`; with `estargz` also converts and pushes that
    /// form. References name ``HostsDirectory/registry``.
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
        try await convert(reference, to: estargz, ["--estargz"])
    }

    /// Creates and pushes a further form of an image whose plain form is in the registry.
    public func add(
        _ form: ImageForm, of recipe: ImageRecipe, progress: @Sendable (String) -> Void = { _ in }
    ) async throws(LabError) {
        guard form != .plain else { return }
        // Stored under the name for fetching, which is not the lab's.
        let plain = "127.0.0.1:\(registryPort)/\(recipe.path(.plain))"
        let target = recipe.reference(form)
        try await containerd.ctr(["content", "fetch", "--plain-http", plain])
        progress("\(recipe.name): converting to \(form.rawValue)")
        switch form {
        case .plain: break
        case .estargz: try await convert(["convert", "--oci", "--estargz", plain, target])
        case .zstdChunked: try await convert(["convert", "--oci", "--zstdchunked", plain, target])
        case .estargzOptimised:
            // Runs the image and observes its reads; servers need the loopback device.
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

    /// Converts a published image with ctr-remote, and pushes the result.
    public func convert(_ reference: String, to target: String, _ options: [String]) async throws(LabError) {
        try await convert(["convert", "--oci"] + options + [reference, target])
        try await push(target)
    }

    /// Creates the streaming artifact of a pushed image, with a startup pack of `profile`, or with a predicted one if
    /// `predicts`.
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

    /// Pushes an image of `archive` under another name.
    public func publish(archive: String, reference: String, as name: String) async throws(LabError) {
        try await containerd.ctr(["images", "import", "--no-unpack", archive])
        try await containerd.ctr(["images", "tag", name, reference])
        try await push(reference)
    }

    /// The seconds that `optimize` observes an image. Everything is local then, so each is ready long before.
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
