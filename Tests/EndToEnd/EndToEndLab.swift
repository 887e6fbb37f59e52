import Lab
import Testing

/// The fixture of all tests here: a lab and a registry with the test images, built once.
struct EndToEndLab: Sendable {
    let lab: Lab
    let registry: RegistryServer
    let pauseArchive: String
    let images: TestImages

    /// The lab of the running suite.
    @TaskLocal static var shared: EndToEndLab?

    /// Returns the lab, or fails the test if there is none.
    static func current() throws -> EndToEndLab {
        try #require(shared, "the suite's lab has not been set up")
    }

    /// Rivulet with demand requests only, so that counts are exact.
    static let quietRivulet = quietRivulet(readsContainerd: true)

    static func quietRivulet(readsContainerd: Bool) -> Node.Snapshotter {
        .rivulet(options: "[streaming]\nbackground_fill = false\n", readsContainerd: readsContainerd)
    }

    /// Runs `body` with a node, which is removed afterwards.
    func withNode(
        _ name: String, snapshotter: Node.Snapshotter = quietRivulet,
        _ body: @Sendable (Node) async throws -> Void
    ) async throws {
        try await Node.with(
            name, in: lab, snapshotter: snapshotter, registry: registry, pauseArchive: pauseArchive, body)
    }
}

/// Sets the lab up before a suite's first test and removes it after the last in any case.
struct EndToEndTrait: SuiteTrait, TestScoping {
    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await Lab.with { lab in
            let pause = "\(lab.directory)/pause.tar"
            try await PauseImage.build(
                source: "\(Repository.root)/bench/images/pause.c", archive: pause, in: lab)
            let registry = try await RegistryServer(in: lab, storage: "\(lab.directory)/registry")
            let images = try await TestImages(in: lab, registryPort: registry.port)
            let shared = EndToEndLab(lab: lab, registry: registry, pauseArchive: pause, images: images)
            try await EndToEndLab.$shared.withValue(shared) { try await function() }
        }
    }
}

extension Trait where Self == EndToEndTrait {
    static var realParts: Self { EndToEndTrait() }
}
