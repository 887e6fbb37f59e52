public import Base
import Glibc
import Linux
import SystemPackage

/// A cache of built images. Each image has the storage of a registry that contains all its forms.
///
/// An image's directory is named by a key of the inputs, so a different recipe, script or application gets another
/// directory.
public struct ImageCache: Sendable {
    /// The directory of the cached images.
    public let directory: String

    public init(directory: String) {
        self.directory = directory
    }

    /// A built image.
    public struct Entry: Sendable {
        public let recipe: ImageRecipe
        /// The storage for ``RegistryServer``. It also contains the image's predecessors in the same forms.
        public let registryStorage: String
        /// The OCI archive of the sandbox image.
        public let pauseArchive: String
        /// The forms of the image that exist.
        public let forms: Set<ImageForm>
    }

    /// Returns the image of `recipe` in at least `forms`, and builds the forms that are missing. `progress` receives
    /// the current step.
    public func image(
        _ recipe: ImageRecipe, forms: Set<ImageForm> = [.plain, .estargz], in lab: Lab,
        progress: @escaping @Sendable (String) -> Void
    ) async throws(LabError) -> Entry {
        let builder = ImageBuilder(lab: lab, progress: progress)
        let name = "\(recipe.name)-\(recipe.edition.rawValue)-\(try ImageBuilder.key(of: recipe))"
        let path = try await entry(name, in: lab) { path throws(LabError) in
            for recipe in recipe.predecessors + [recipe] {
                try await builder.build(recipe, work: "\(path)/work", registryStorage: "\(path)/registry")
            }
        }
        let storage = "\(path)/registry"
        for recipe in recipe.predecessors + [recipe] {
            let missing = forms.subtracting(Self.forms(of: recipe, in: storage))
            if missing.isEmpty { continue }
            try await builder.add(
                missing.sorted { $0.rawValue < $1.rawValue }, of: recipe, registryStorage: storage,
                pauseArchive: try await pauseArchive(in: lab))
        }
        return Entry(
            recipe: recipe, registryStorage: storage, pauseArchive: try await pauseArchive(in: lab),
            forms: Self.forms(of: recipe, in: storage))
    }

    /// Returns the path of the sandbox image's OCI archive, which is built if it is missing.
    public func pauseArchive(in lab: Lab) async throws(LabError) -> String {
        let path = try await entry("pause-\(try ImageBuilder.key(files: ["pause.c"]))", in: lab) {
            path throws(LabError) in
            try await PauseImage.build(
                source: "\(ImageBuilder.scripts)/pause.c", archive: "\(path)/pause.tar", in: lab)
        }
        return "\(path)/pause.tar"
    }

    /// Returns the path of the directory `name` in the cache.
    ///
    /// If it is missing, `build` fills a temporary directory, which is renamed when it is complete.
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
            // Another process has built the same entry in the meantime.
            try? removeTree(building)
        } catch {
            throw LabError(.files, "cannot rename the build to \(path)", cause: error)
        }
        return path
    }

    private static func forms(of recipe: ImageRecipe, in storage: String) -> Set<ImageForm> {
        Set(
            ImageForm.allCases.filter {
                RegistryStorage.holds(recipe.tag($0), of: recipe.repository($0), in: storage)
            })
    }
}
