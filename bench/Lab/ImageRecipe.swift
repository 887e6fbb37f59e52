/// What an image is made of, and how one sees that what runs in it is ready.
public struct ImageRecipe: Sendable, Hashable {
    /// As on the command line of a bench.
    public var name: String
    public var edition: ImageEdition
    /// The repository in the registry.
    public var repository: String
    /// What tags begin with, where a repository holds several versions of an image; with the hyphen that ends it.
    public var tagPrefix = ""
    /// The layers that all others lie on.
    public var base: Base
    /// One layer each, bottom first.
    public var stages: [Stage]
    public var command: [String]
    /// In addition to PATH: `NAME=value`.
    public var environment: [String] = []
    public var probe: ReadyProbe
    /// Older versions, oldest first: they are in the same registry as this one.
    public var predecessors: [ImageRecipe] = []

    /// The bottom layer.
    public enum Base: Sendable, Hashable {
        /// A minimal Debian.
        case debian
        /// The files of these packages (names separated by spaces), unpacked and not set up.
        case files(String)
    }

    /// How a layer comes about. Paths are below `bench/images`.
    public enum Stage: Sendable, Hashable {
        /// What installing Debian packages changes: names separated by spaces.
        case packages(String)
        /// What a script, called with the tree and further arguments, changes.
        case script(String, [String] = [])
        /// A directory as `/app`.
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

    /// The image's full name in one of its forms.
    public func reference(_ form: ImageForm) -> String {
        "\(HostsDirectory.registry)/\(path(form))"
    }

    /// Repository and tag.
    func path(_ form: ImageForm) -> String {
        "\(repository(form)):\(tag(form))"
    }

    /// The repository that holds one of its forms: what refers to an image is shared by all tags that name it.
    public func repository(_ form: ImageForm) -> String {
        switch form {
        case .artifactPack: repository + "-pack"
        case .artifactPredicted: repository + "-predicted"
        default: repository
        }
    }

    /// What the registry knows it by in one of its forms.
    public func tag(_ form: ImageForm) -> String {
        tagPrefix + form.rawValue
    }

    /// Everything that the image's bytes depend on, but for the files below `bench/images`.
    var ingredients: String {
        "\(repository) \(tagPrefix) \(base) \(stages) \(command) \(environment)"
    }
}

extension ImageRecipe {
    /// The recipe called `name`.
    /// - Throws: `usage` with the names that there are.
    public static func named(_ name: String, _ edition: ImageEdition) throws(LabError) -> ImageRecipe {
        let recipes = all(edition)
        guard let recipe = recipes.first(where: { $0.name == name }) else {
            let names = recipes.map(\.name).joined(separator: ", ")
            throw LabError(.usage, "there is no image '\(name)'; there are \(names)")
        }
        return recipe
    }
}
