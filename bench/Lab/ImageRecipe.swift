public import Base

/// The inputs of an image, and a probe for the readiness of its application.
public struct ImageRecipe: Sendable, Hashable {
    /// The image's name on the command line of a bench.
    public var name: String
    public var edition: ImageEdition
    /// The repository in the registry.
    public var repository: String
    /// The prefix of tags, including the hyphen, if a repository has several versions of an image.
    public var tagPrefix = ""
    /// The base, below the layers of all stages.
    public var base: Base
    /// The stages, bottom first. Each makes one layer.
    public var stages: [Stage]
    public var command: [String]
    /// The environment variables in addition to PATH, as `NAME=value`.
    public var environment: [String] = []
    public var probe: ReadyProbe
    /// The older versions of the image, oldest first. They are in the same registry.
    public var predecessors: [ImageRecipe] = []

    /// The bottom layer.
    public enum Base: Sendable, Hashable {
        /// A minimal Debian.
        case debian
        /// The files of these packages (names separated by spaces), unpacked but not configured.
        case files(String)
    }

    /// The source of a layer. Its paths are relative to `bench/images`.
    public enum Stage: Sendable, Hashable {
        /// The changes that the installation of Debian packages makes. The names are separated by spaces.
        case packages(String)
        /// The changes that a script makes. Its arguments are the tree and the given ones.
        case script(String, [String] = [])
        /// A directory, which becomes `/app`.
        case application(String)
    }

    public init(
        _ name: String, _ edition: ImageEdition, repository: String? = nil, base: Base = .debian, stages: [Stage],
        command: [String], probe: ReadyProbe
    ) {
        self.name = name
        self.edition = edition
        self.repository = repository ?? "bench/\(name)" + (edition == .small ? "-small" : "")
        self.base = base
        self.stages = stages
        self.command = command
        self.probe = probe
    }

    /// Returns the image's full reference in `form`.
    public func reference(_ form: ImageForm) -> String {
        "\(HostsDirectory.registry)/\(path(form))"
    }

    /// Returns the repository and tag of `form`.
    func path(_ form: ImageForm) -> String {
        "\(repository(form)):\(tag(form))"
    }

    /// Returns the repository of `form`.
    ///
    /// Tags of the same manifest share its referrers, so some forms need a separate repository.
    public func repository(_ form: ImageForm) -> String {
        switch form {
        case .artifactPack: repository + "-pack"
        case .artifactPredicted: repository + "-predicted"
        default: repository
        }
    }

    /// Returns the tag of `form` in the registry.
    public func tag(_ form: ImageForm) -> String {
        tagPrefix + form.rawValue
    }

    /// All inputs that determine the image's bytes, except the files below `bench/images`.
    var ingredients: String {
        "\(repository) \(tagPrefix) \(base) \(stages) \(command) \(environment)"
    }
}

extension ImageRecipe {
    /// Returns the recipe called `name`.
    /// - Throws: `usage` with the known names if there is none.
    public static func named(_ name: String, _ edition: ImageEdition) throws(LabError) -> ImageRecipe {
        let recipes = all(edition)
        guard let recipe = recipes.first(where: { $0.name == name }) else {
            let names = recipes.map(\.name).joined(separator: ", ")
            throw LabError(.usage, "there is no image '\(name)'; there are \(names)")
        }
        return recipe
    }
}
