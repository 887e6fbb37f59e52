import Artifacts
import Base
import Conversion
import Foundation
import HTTPAPI
import Linux
import Logging
import NIOPosix
import Registry
import Streaming
import TestRegistry
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct ConversionTests {
    private static let logger = Logger.silent
    private static let never = Duration.seconds(1 << 30)

    /// A running service and its registry.
    private struct Running {
        let registry: TestRegistry
        let client: RegistryClient
        let service: ConversionService

        /// Pushes an image of one layer.
        @discardableResult
        func push(
            _ tag: String, repository: String = "team/app", seed: UInt64 = 1, bytes: Int = 100_000
        ) -> Digest {
            let archive = TarWriter.archive([.file("text", Samples.text(bytes: bytes, seed: seed))])
            return registry.addImage(
                repository: repository, tag: tag,
                layers: [TestLayer(Compressed.gzip(archive), diffID: Digest.of(archive))]
            ).manifestDigest
        }

        func hasArtifact(_ image: Digest, _ repository: String = "team/app") async -> Bool {
            let repository = Repository(host: registry.host, name: repository)
            return await ArtifactFinder(registry: client, logger: ConversionTests.logger)
                .artifact(repository, of: image) != nil
        }

        /// Returns the number of requests for a tag.
        func looks(at tag: String) -> Int {
            registry.requests.count { $0.path.hasSuffix("/manifests/\(tag)") }
        }

        /// Waits for the end of an operation.
        func ended(_ operation: ConversionOperation) async throws -> ConversionOperation {
            _ = try await eventually { try await service.operation(operation.id).state.isOver }
            return try await service.operation(operation.id)
        }

        func wait(_ what: Comment, until isTrue: () async throws -> Bool) async throws {
            #expect(try await eventually(isTrue), what)
        }

        func tell(_ action: String, tag: String? = nil, digest: Digest, repository: String = "team/app") async throws {
            let tagged = tag.map { #","tag":"\#($0)""# } ?? ""
            let body =
                #"{"action":"\#(action)","target":{"repository":"\#(repository)","digest":"\#(digest)"\#(tagged)}}"#
            try await service.receive(try PushNotification.events(in: Array(body.utf8)))
        }
    }

    private static func withService(
        poll: Duration = never, state: String? = nil,
        configure: (inout ConversionOptions) -> Void = { _ in },
        _ body: (Running) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { directory in
            try await TestRegistry.withRegistry(Behaviour()) { registry in
                let client = RegistryClient(RegistryConfiguration(), logger: logger)
                let workers = NIOThreadPool(numberOfThreads: 2)
                workers.start()
                var configuration = ConversionOptions(registry: registry.host)
                configuration.pollInterval = poll
                configure(&configuration)
                let result: Result<Void, any Error>
                do {
                    let store = try ConversionStore(path: state ?? directory + "/state.db")
                    let service = ConversionService(
                        configuration, registry: client, store: store, workers: workers, cores: 2, logger: logger)
                    let task = Task { try await service.run() }
                    do {
                        try await body(Running(registry: registry, client: client, service: service))
                        result = .success(())
                    } catch {
                        result = .failure(error)
                    }
                    task.cancel()
                    _ = await task.result
                } catch {
                    result = .failure(error)
                }
                await client.shutdown()
                try? await workers.shutdownGracefully()
                try result.get()
            }
        }
    }

    @Test("converts an image once for repeated requests") func convertsImageOnceForRepeatedRequests() async throws {
        try await Self.withService { running in
            let digest = running.push("1")
            let gate = running.registry.hold()
            let first = try await running.service.start("team/app:1")
            let second = try await running.service.start("\(running.registry.host)/team/app:1")
            #expect(first.id == second.id && first.state == .notStarted)
            gate.open()
            let ended = try await running.ended(first)
            #expect(ended.state == .succeeded && ended.progress == 100 && ended.artifacts.count == 1)
            #expect(await running.hasArtifact(digest))
            let again = try await running.ended(try await running.service.start("team/app:1"))
            #expect(again.id != first.id && again.artifacts == ended.artifacts)
            let listed = try await running.service.operations(repository: "team/app", image: "team/app:1")
            #expect(listed.map(\.id) == [again.id, first.id])
        }
    }

    @Test("failures have Azure's codes") func failuresHaveAzuresCodes() async throws {
        try await Self.withService { running in
            let registry = running.registry
            registry.addImage(
                repository: "team/app", tag: "wasm",
                layers: [TestLayer([1, 2, 3], mediaType: "application/vnd.wasm.content.layer.v1")])
            registry.addImage(repository: "team/app", tag: "empty", layers: [])
            registry.addManifest(
                Array(
                    """
                    {"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}
                    """.utf8), mediaType: "application/vnd.oci.image.index.v1+json", repository: "team/app",
                tag: "index")
            let digest = running.push("good")
            _ = try await running.ended(try await running.service.start("team/app:good"))
            let artifacts = try await running.client.referrers(
                Repository(host: registry.host, name: "team/app"), of: digest)
            let artifact = try #require(artifacts.first).digest
            for (image, code) in [
                ("team/app:gone", "RESOURCE_NOT_FOUND"), ("team/app:wasm", "UNSUPPORTED_MEDIATYPE"),
                ("team/app:empty", "IMAGE_NOT_RUNNABLE"), ("team/app:index", "NO_SUPPORTED_PLATFORM_FOUND"),
                ("team/app@\(artifact)", "UNSUPPORTED_ARTIFACT_TYPE"),
            ] {
                let ended = try await running.ended(try await running.service.start(image))
                #expect(ended.state == .failed && ended.error?.code == code, "\(image): \(ended)")
            }
        }
    }

    @Test("converts only later pushes") func convertsOnlyLaterPushes() async throws {
        try await Self.withService { running in
            let old = running.push("old", seed: 1)
            #expect(try await !running.service.streaming("team/app").streaming)
            let new = running.push("new", seed: 2)
            try await running.tell("push", tag: "new", digest: new)
            #expect(try await running.service.operations().isEmpty, "it is not enabled")
            #expect(try await running.service.setStreaming("team/app", true).streaming)
            #expect(try await running.service.streaming().map(\.repository) == ["\(running.registry.host)/team/app"])
            // Neither existing images nor repeated notifications are converted.
            try await running.tell("push", tag: "old", digest: old)
            let later = running.push("later", seed: 3)
            for _ in 0..<2 { try await running.tell("push", tag: "later", digest: later) }
            // A moved tag is another image.
            let moved = running.push("old", seed: 4)
            try await running.tell("push", tag: "old", digest: moved)
            let operations = try await running.service.operations()
            #expect(operations.count == 2)
            for operation in operations { #expect(try await running.ended(operation).state == .succeeded) }
            // The tag alone and the digest alone find an operation.
            for image in ["team/app:later", "team/app@\(later)"] {
                let found = try await running.service.operations(image: image)
                #expect(found.count == 1 && found.first?.image.hasSuffix("\(later)") == true)
            }
            #expect(try await running.service.operations(image: "team/app:lat").isEmpty)
            #expect(await running.hasArtifact(later))
            #expect(await running.hasArtifact(moved))
            #expect(await !running.hasArtifact(old))
            _ = try await running.service.setStreaming("team/app", false)
            try await running.tell("push", tag: "more", digest: running.push("more", seed: 5))
            #expect(try await running.service.operations().count == 2)
            #expect(await running.hasArtifact(later), "what is there stays")
        }
    }

    @Test("waits for a tag after its notification") func waitsForTagAfterItsNotification() async throws {
        try await Self.withService { running in
            _ = try await running.service.setStreaming("team/app", true)
            let before = running.push("1", seed: 1)
            try await running.tell("push", tag: "1", digest: before)
            let digest = Guarded<Digest?>(nil)
            let other = running.push("elsewhere", seed: 2)
            let manifest = try #require(running.registry.manifest("team/app", "elsewhere"))
            try await withThrowingTaskGroup(of: Void.self) { group in
                // Waits for two requests, because the first one still finds the tag's old digest.
                let looks = running.looks(at: "1") + 2
                group.addTask { try await running.tell("push", tag: "1", digest: other) }
                group.addTask {
                    #expect(await eventually { running.looks(at: "1") >= looks })
                    let set = running.registry.addManifest(manifest, repository: "team/app", tag: "1")
                    digest.withLock { $0 = set }
                }
                try await group.waitForAll()
            }
            #expect(digest.withLock { $0 } == other)
            try await running.wait("both are converted") { await running.hasArtifact(other) }
            #expect(try await running.service.operations().count == 2)
        }
    }

    @Test("polling finds images without a notification") func pollingFindsImagesWithoutNotification() async throws {
        try await Self.withService(poll: .milliseconds(20)) { running in
            _ = try await running.service.setStreaming("team/app", true)
            let digest = running.push("1")
            try await running.wait("it is converted") { await running.hasArtifact(digest) }
            // A tag that stores a list of referrers is not an image.
            #expect(try await running.service.operations().count == 1)
        }
    }

    @Test("deletes the artifact of a deleted image") func deletesArtifactOfDeletedImage() async throws {
        try await Self.withService { running in
            let digest = running.push("1")
            _ = try await running.ended(try await running.service.start("team/app:1"))
            #expect(await running.hasArtifact(digest))
            try await running.tell("delete", digest: digest)
            #expect(await !running.hasArtifact(digest))
        }
    }

    @Test("cancels a conversion") func cancelsConversion() async throws {
        try await Self.withService { running in
            let digest = running.push("1")
            let gate = running.registry.hold()
            let operation = try await running.service.start("team/app:1")
            let waiting = try await running.service.start("team/other:1")
            await gate.waitUntilHeld(1)
            #expect(try await running.service.cancel(waiting.id).state == .canceled)
            #expect(try await running.service.cancel(operation.id).state == .canceled)
            gate.open()
            let error = await #expect(throws: ConversionError.self) {
                try await running.service.cancel(operation.id)
            }
            #expect(error?.code == .isOver)
            // The next conversion succeeds, and the canceled one stays canceled.
            #expect(try await running.ended(try await running.service.start("team/app:1")).state == .succeeded)
            #expect(try await running.service.operation(operation.id).state == .canceled)
            #expect(await running.hasArtifact(digest))
            await #expect(throws: ConversionError.self) { try await running.service.operation("nonsense") }
        }
    }

    @Test("the next service resumes unfinished conversions") func nextServiceResumesUnfinishedConversions() async throws
    {
        try await withTemporaryDirectory { directory in
            let state = directory + "/state.db"
            let left = Guarded<[String]>([])
            try await Self.withService(state: state) { running in
                running.push("1")
                let gate = running.registry.hold()
                let operation = try await running.service.start("team/app:1")
                await gate.waitUntilHeld(1)
                left.withLock { $0.append(operation.id) }
                // The service ends here, in the middle of the conversion.
            }
            try await Self.withService(state: state) { running in
                let id = left.withLock { $0[0] }
                // The registry is another one now, without the image. The failure shows that the service resumed the
                // conversion.
                _ = try await eventually { try await running.service.operation(id).state.isOver }
                #expect(try await running.service.operation(id).state == .failed)
            }
            // The store refuses a file that is not its database.
            let other = directory + "/other.db"
            try Data("nonsense, and more of it than a header has".utf8).write(to: URL(fileURLWithPath: other))
            #expect(throws: ConversionError.self) { try ConversionStore(path: other) }
        }
    }

    // MARK: - Profiles

    private static func profile(_ running: Running, _ ranges: [(UInt64, UInt64)], path: String = "text") -> ProfileFile
    {
        ProfileFile(
            repository: Repository(host: running.registry.host, name: "team/app"), chain: nil,
            profile: Profile(
                entries: ranges.map {
                    Profile.Entry(path: Array(path.utf8), range: ByteRange(offset: $0.0, end: $0.1), milliseconds: 0)
                }))
    }

    private static func artifact(_ running: Running, _ image: Digest) async throws -> StreamingArtifact? {
        await ArtifactFinder(registry: running.client, logger: logger)
            .artifact(Repository(host: running.registry.host, name: "team/app"), of: image)
    }

    @Test("builds packs from nodes' reports") func buildsPacksFromNodesReports() async throws {
        try await Self.withService(configure: {
            $0.acceptsProfiles = true
            $0.packInterval = .zero
        }) { running in
            let image = running.push("1", bytes: 1 << 20)
            let name = "team/app@\(image)"
            let first = Self.profile(running, [(0, 4096)])
            let error = await #expect(throws: ConversionError.self) { try await running.service.learn(first, of: name) }
            #expect(error?.code == .notFound, "it is not enabled")
            _ = try await running.service.setStreaming("team/app", true)
            for bad in ["team/app:1", "UPPER@\(image)", ""] {
                let error = await #expect(throws: ConversionError.self) {
                    try await running.service.learn(first, of: bad)
                }
                #expect(error?.code == .invalid)
            }
            let begun = try #require(try await running.service.learn(first, of: name))
            #expect(try await running.ended(begun).state == .succeeded)
            let one = try #require(try await Self.artifact(running, image))
            #expect(one.generation == 1 && one.pack != nil)
            // The same report, or one with few new bytes, does not cause a new pack.
            #expect(try await running.service.learn(first, of: name) == nil)
            #expect(
                try await running.service.learn(Self.profile(running, [(0, 4096), (4096, 4100)]), of: name) == nil)
            // Other reports cause new packs. The service deletes packs before the last two.
            for (generation, end) in [(2, 300_000), (3, 600_000), (4, 900_000)] as [(UInt32, UInt64)] {
                let more = Self.profile(running, [(0, 4096), (8192, end)])
                let operation = try #require(try await running.service.learn(more, of: name))
                #expect(try await running.ended(operation).state == .succeeded)
                #expect(try await Self.artifact(running, image)?.generation == generation)
            }
            let repository = Repository(host: running.registry.host, name: "team/app")
            let left = try await running.client.referrers(repository, of: image)
            let generations = left.compactMap { $0.annotations["io.rivulet.pack.generation"] }.sorted()
            #expect(generations == ["3", "4"])
            // A later image has a pack at once.
            let later = running.push("2", seed: 7)
            try await running.tell("push", tag: "2", digest: later)
            try await running.wait("it is converted") { try await Self.artifact(running, later)?.generation == 1 }
        }
    }

    @Test("keeps a recent pack for a while") func keepsRecentPackForWhile() async throws {
        try await Self.withService(configure: { $0.acceptsProfiles = true }) { running in
            let image = running.push("1")
            _ = try await running.service.setStreaming("team/app", true)
            let operation = try #require(
                try await running.service.learn(Self.profile(running, [(0, 4096)]), of: "team/app@\(image)"))
            _ = try await running.ended(operation)
            #expect(
                try await running.service.learn(Self.profile(running, [(0, 90_000)]), of: "team/app@\(image)") == nil)
        }
    }

    // MARK: - The API

    private static func ask(
        _ routes: ConversionRoutes, _ method: String, _ target: String, _ body: String = "", token: String? = "secret"
    ) async -> HTTPAnswer {
        let headers = token.map { ["authorization": "Bearer \($0)"] } ?? [:]
        return await routes.answer(
            HTTPRequest(method: method, target: target, headers: headers, body: Array(body.utf8)))
    }

    @Test("the API matches its description") func apiMatchesItsDescription() async throws {
        try await Self.withService { running in
            let routes = ConversionRoutes(running.service, token: "secret")
            running.push("1")
            let started = await Self.ask(routes, "POST", "/v1/operations", #"{"image":"team/app:1"}"#)
            #expect(started.status == 202)
            let operation = try JSONDecoder().decode(ConversionOperation.self, from: Data(started.body))
            #expect(try await running.ended(operation).state == .succeeded)
            for (method, target, body, status) in [
                ("GET", "/healthz", "", 200), ("GET", "/v1/operations/\(operation.id)", "", 200),
                ("GET", "/v1/operations?repository=team%2Fapp", "", 200), ("GET", "/v1/operations/x", "", 404),
                ("POST", "/v1/operations/\(operation.id):cancel", "", 409),
                ("POST", "/v1/operations/x:cancel", "", 404), ("POST", "/v1/operations", "{}", 400),
                ("POST", "/v1/operations", #"{"image":"UPPER"}"#, 400),
                ("PUT", "/v1/repositories/team/app", #"{"streaming":true}"#, 200),
                ("GET", "/v1/repositories/team%2Fapp", "", 200), ("GET", "/v1/repositories", "", 200),
                ("PUT", "/v1/repositories/team/app:1", #"{"streaming":true}"#, 400),
                ("POST", "/v1/profiles?image=team%2Fapp@\(Digest.of([]))", "{}", 400),
                (
                    "POST", "/v1/profiles?image=team%2Fapp@\(Digest.of([]))",
                    #"{"rivuletProfile":1,"repository":"a.example/b","entries":[]}"#, 403
                ),
                ("POST", "/v1/notifications", String(repeating: " ", count: 2 << 20), 413),
                ("POST", "/v1/notifications", #"{"events":[]}"#, 202), ("POST", "/v1/notifications", "x", 400),
                ("DELETE", "/v1/operations", "", 404), ("GET", "/", "", 404), ("GET", "/v2/", "", 404),
            ] {
                let answer = await Self.ask(routes, method, target, body)
                #expect(answer.status == status, "\(method) \(target): \(String(decoding: answer.body, as: UTF8.self))")
            }
            for token in [nil, "", "secre", "secret2", "Secret"] {
                #expect(await Self.ask(routes, "GET", "/v1/operations", token: token).status == 401)
            }
            #expect(await Self.ask(routes, "GET", "/healthz", token: nil).status == 200)
        }
    }

    @Test("the description is JSON and names existing routes") func descriptionIsJSONAndNamesExistingRoutes()
        async throws
    {
        let parsed = try JSONSerialization.jsonObject(with: Data(OpenAPI.document.utf8)) as? [String: Any]
        let paths = try #require(parsed?["paths"] as? [String: [String: Any]])
        try await Self.withService { running in
            let routes = ConversionRoutes(running.service, token: nil)
            for (path, methods) in paths {
                for method in methods.keys where method != "parameters" {
                    let target = path.replacingOccurrences(of: "{repository}", with: "team/app")
                    let answer = await Self.ask(routes, method.uppercased(), target)
                    let text = String(decoding: answer.body, as: UTF8.self)
                    #expect(!text.hasPrefix("there is no \(method.uppercased())"), "\(method) \(path)")
                }
            }
        }
    }
}
