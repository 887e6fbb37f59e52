public import Lab

/// An image in its own registry, ready to be pulled.
public struct ServedImage: Sendable {
    public let recipe: ImageRecipe
    public let registry: RegistryServer
    /// The OCI archive of the sandbox image.
    public let pauseArchive: String
    public let manifests: [ImageForm: ImageManifest]
    private let storage: String

    /// Starts a registry that serves the built image.
    public init(_ entry: ImageCache.Entry, forms: Set<ImageForm>, in lab: Lab) async throws {
        recipe = entry.recipe
        pauseArchive = entry.pauseArchive
        storage = entry.registryStorage
        let registry = try await RegistryServer(in: lab, storage: storage)
        self.registry = registry
        let recipe = entry.recipe
        manifests = try await blocking {
            var manifests: [ImageForm: ImageManifest] = [:]
            for form in forms {
                manifests[form] = try ImageManifest(
                    repository: recipe.repository(form), tag: recipe.tag(form), port: registry.port)
            }
            return manifests
        }
    }

    /// Returns the compressed size of the image in `form`, in bytes; 0 if it is not served in that form.
    public func size(_ form: ImageForm) -> UInt64 { manifests[form]?.size ?? 0 }

    /// Reads the registry's content of `form` into the page cache. Blocks.
    ///
    /// A real registry is another machine that has served this image before.
    func warm(_ form: ImageForm) throws(LabError) {
        try PageCache.warm("\(storage)/docker/registry/v2/repositories")
        guard let manifest = manifests[form] else { return }
        for blob in [manifest.config] + manifest.layers {
            let hex = blob.digest.drop { $0 != ":" }.dropFirst()
            try PageCache.warm("\(storage)/docker/registry/v2/blobs/sha256/\(hex.prefix(2))/\(hex)")
        }
    }
}
