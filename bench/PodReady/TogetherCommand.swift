import ArgumentParser
import Base
import Harness
import Lab

/// `PodReady together`: starts different images at once on one node.
struct TogetherCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "together",
        abstract: "Start a pod of each image on one node at the same time.",
        discussion: """
            Waits until all are ready. Their needs come from a results file. The needed bytes divided by the link's rate \
            are the least time; the result is the ratio of the measured time to it.
            """)

    @Option(help: "Comma-separated images.")
    var images = "nginx,postgres,python-web,numpy,python-sci,jupyter,jvm,layers-30,upgrade-v1,node"

    @Option(help: "The form of the images: \(ImageForm.allCases.map(\.rawValue).joined(separator: ", ")).")
    var form = ImageForm.artifactPack.rawValue

    @Option(help: "The link to the registry: \(LinkShape.named.keys.sorted().joined(separator: ", ")).")
    var link = "shaped"

    @Option(help: "A results file with the images' needs.")
    var needs = "bench/results/grid.jsonl"

    @Option(help: "The time limit until all are ready, in seconds.")
    var limit: UInt64 = 300

    @Option(help: "Where built images are kept.")
    var cache: String

    @Option(help: "Where the scratch directory is made; not on an overlay.")
    var scratch = "/var/tmp"

    func run() async throws {
        guard let form = ImageForm(rawValue: form) else { throw ValidationError("unknown form '\(form)'") }
        let link = try Link(link)
        let recipes = try images.split(separator: ",").map { try ImageRecipe.named(String($0), .full) }
        let known = try ResultsFile.read(needs).needs
        let bytes = try recipes.map { recipe -> UInt64 in
            guard let record = known.first(where: { $0.image == recipe.name && $0.edition == "full" }) else {
                throw ValidationError("\(needs) has no needs of \(recipe.name): run PodReady grid with it")
            }
            return record.neededBytes
        }
        let needed = bytes.reduce(0, +)
        try await Lab.guarded(parent: scratch) { [cache, limit] lab in
            let (registry, pause) = try await Self.serve(recipes, form, ImageCache(directory: cache), in: lab)
            let (ready, received) = try await Node.with(
                "together", in: lab, snapshotter: .rivulet(options: ""), registry: registry, pauseArchive: pause
            ) { node in
                // A real registry is another machine that has served these images before.
                try await blocking {
                    try PageCache.drop()
                    try PageCache.warm("\(lab.directory)/together")
                }
                try await node.relay.begin(link)
                let began = MonotonicTime.now()
                let ready = try await Self.startAll(recipes, form, on: node, in: lab, seconds: limit)
                return (ready.map { ($0.name, Double($0.at.since(began)) / 1e9) }, node.relay.record.bytes)
            }
            for (name, seconds) in ready.sorted(by: { $0.1 < $1.1 }) {
                print("\(name) is ready after \(Format.seconds(seconds)) s")
            }
            let all = ready.map(\.1).max() ?? 0
            let least = link.shape.seconds(for: needed)
            print(
                """
                all \(ready.count) on \(link.name): \(Format.seconds(all)) s; what they need takes the link \
                \(Format.seconds(least)) s (ratio \(Format.seconds(all / least)))
                received until then: \(Format.megabytes(received)); needed: \(Format.megabytes(needed)) \
                (ratio \(Format.seconds(Double(received) / Double(needed))))
                """)
        }
    }

    /// Serves all images from one registry.
    private static func serve(
        _ recipes: [ImageRecipe], _ form: ImageForm, _ cache: ImageCache, in lab: Lab
    ) async throws -> (RegistryServer, pauseArchive: String) {
        let storage = "\(lab.directory)/together"
        try Files.makeDirectory("\(storage)/docker")
        for recipe in recipes {
            let entry = try await cache.image(recipe, forms: [form], in: lab) { print($0) }
            // A registry's directory names blobs by digest and repositories by name, so two of them can be merged.
            try await Command.run(
                ["cp", "-rT", "--update", "\(entry.registryStorage)/docker", "\(storage)/docker"], in: lab)
        }
        return (try await RegistryServer(in: lab, storage: storage), try await cache.pauseArchive(in: lab))
    }

    private static func startAll(
        _ recipes: [ImageRecipe], _ form: ImageForm, on node: Node, in lab: Lab, seconds: UInt64
    ) async throws -> [(name: String, at: MonotonicTime)] {
        try await withThrowingTaskGroup(of: (name: String, at: MonotonicTime).self) { group in
            for recipe in recipes {
                let name = lab.nextPodName()
                group.addTask {
                    let pod = try await Pod(
                        .init(name: name, image: recipe.reference(form)), in: lab, client: node.client,
                        pullSeconds: Int64(seconds))
                    return (recipe.name, try await pod.waitUntilReady(recipe.probe, seconds: seconds))
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }
}
