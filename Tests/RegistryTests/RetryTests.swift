import Base
import Registry
import TestRegistry
import TestSupport
import Testing

struct RetryTests {
    static let bytes = pattern(300_000)
    static let second = Duration.seconds(1)

    func read(_ client: RegistryClient, _ location: BlobLocation, _ priority: RequestPriority = .demand) async throws
        -> [UInt8]
    {
        try await client.open(location, .whole, priority: priority).collect(maximumSize: 1 << 20)
    }

    func withBlob(
        _ change: (inout RegistryConfiguration) -> Void = { _ in },
        _ body: (TestRegistry, SkippingClock, RegistryClient, BlobLocation) async throws -> Void
    ) async throws {
        let clock = SkippingClock()
        var settings = configuration(clock)
        change(&settings)
        try await TestRegistry.withRegistry { registry in
            let location = registry.location(registry.addBlob(Self.bytes))
            try await withClient(settings) { try await body(registry, clock, $0, location) }
        }
    }

    @Test(
        "obeys Retry-After",
        arguments: [
            (429, "3", [second * 3]), (503, "Mon, 01 Jan 2024 00:00:07 GMT", [second * 7]), (500, nil, [second / 10]),
            (502, "nonsense", [second / 10]), (408, nil, [second / 10]),
        ] as [(Int, String?, [Duration])])
    func obeysRetryAfter(_ status: Int, _ wait: String?, _ sleeps: [Duration]) async throws {
        try await withBlob { registry, clock, client, location in
            registry.inject(.status(status, headers: wait.map { ["Retry-After": $0] } ?? [:]))
            let bytes = try await read(client, location)
            #expect(bytes == Self.bytes)
            #expect(clock.sleeps == sleeps)
        }
    }

    @Test("back-off doubles and ends") func backOffDoublesAndEnds() async throws {
        try await withBlob { registry, clock, client, location in
            registry.inject(.status(500), times: 100)
            let error = await failure { _ = try await read(client, location) }
            #expect(error?.code == .serverError)
            #expect(error?.status == 500)
            #expect(clock.sleeps == [100, 200, 400, 800].map { .milliseconds($0) })
            #expect(registry.requests.count == 5)
        }
    }

    @Test("reports an excessive Retry-After") func reportsExcessiveRetryAfter() async throws {
        try await withBlob { registry, clock, client, location in
            registry.inject(.status(429, headers: ["Retry-After": "3600"]))
            let error = await failure { _ = try await read(client, location) }
            #expect(error?.code == .rateLimited)
            #expect(error?.retryAfter == Self.second * 3600)
            #expect(clock.sleeps.isEmpty)
        }
    }

    @Test("reports throttling to background work at once") func reportsThrottlingToBackgroundWorkAtOnce() async throws {
        try await withBlob { registry, clock, client, location in
            registry.inject(.status(429, headers: ["Retry-After": "2"]))
            let error = await failure { _ = try await read(client, location, .background) }
            #expect(error?.code == .rateLimited)
            #expect(error?.retryAfter == Self.second * 2)
            #expect(registry.requests.count == 1)
        }
    }

    @Test("resumes a broken body where it broke", arguments: [[0], [1], [100_000], [299_999], [100_000, 50_000, 10]])
    func resumesBrokenBodyWhereItBroke(_ breaks: [Int]) async throws {
        try await withBlob { registry, clock, client, location in
            for count in breaks { registry.inject(.breakBody(after: count)) }
            let bytes = try await read(client, location)
            #expect(bytes == Self.bytes)
            // The client may request bytes again that had arrived unread when the connection broke, but no others.
            let begins = registry.requests.dropFirst().map { request in
                let text = request.range ?? ""
                return text.hasSuffix("-299999") ? Int(text.dropFirst(6).dropLast(7)) ?? -1 : -1
            }
            #expect(begins.count == breaks.count && begins == begins.sorted() && begins.allSatisfy { $0 >= 0 })
            #expect(begins.last.map { $0 <= breaks.reduce(0, +) } == true)
            #expect(client.counters.resumes.value == UInt64(breaks.count))
        }
    }

    @Test("gives up on a body that keeps breaking") func givesUpOnBodyThatKeepsBreaking() async throws {
        try await withBlob { registry, clock, client, location in
            registry.inject(.breakBody(after: 0), times: 1000)
            let error = await failure { _ = try await read(client, location) }
            #expect(error?.code == .brokenBody)
            #expect(registry.requests.count <= 6)
        }
        try await withBlob { registry, clock, client, location in
            registry.inject(.breakBody(after: 1), times: 1000)
            let error = await failure { _ = try await read(client, location) }
            #expect(error?.code == .brokenBody)
            #expect(registry.requests.count <= 70)
        }
    }

    @Test("times out on silence", arguments: [Fault.stallBody(after: 1000), .stallHead, .close])
    func timesOutOnSilence(_ fault: Fault) async throws {
        try await withBlob {
            $0.timeouts.firstByte = .milliseconds(300)
            $0.timeouts.stall = .milliseconds(300)
            $0.timeouts.connect = .milliseconds(500)
        } _: { registry, clock, client, location in
            registry.inject(fault)
            let bytes = try await read(client, location)
            #expect(bytes == Self.bytes)
            // There are more requests on a machine so slow that good responses come too late.
            #expect(registry.requests.count >= 2)
        }
    }

    @Test("rejects wrong bytes") func rejectsWrongBytes() async throws {
        try await withBlob { registry, clock, client, location in
            registry.inject(.corrupt, times: 100)
            let error = await failure { _ = try await client.blob(location, maximumSize: 1 << 20) }
            #expect(error?.code == .digestMismatch)
            let small = await failure { _ = try await client.blob(location, maximumSize: 1000) }
            #expect(small?.code == .tooLarge)
        }
    }

    @Test("verifies manifests") func verifiesManifests() async throws {
        try await TestRegistry.withRegistry { registry in
            let image = registry.addImage(repository: "test/app", layers: [TestLayer([1])])
            let repository = Repository(host: registry.host, name: "test/app")
            let reference = try ImageReference(parsing: image.reference)
            try await withClient(configuration()) { client in
                registry.inject(.corrupt, into: .manifest)
                var error = await failure { _ = try await client.manifest(repository, digest: image.manifestDigest) }
                #expect(error?.code == .digestMismatch)
                registry.behaviour.statedDigest = Digest.of([0])
                error = await failure { _ = try await client.resolve(reference) }
                #expect(error?.code == .digestMismatch)
                error = await failure { _ = try await client.manifest(repository, digest: Digest.of([7])) }
                #expect(error?.code == .notFound)
                registry.behaviour.statedDigest = nil
                let big = registry.addManifest([UInt8](repeating: 0x20, count: (8 << 20) + 1), repository: "test/app")
                error = await failure { _ = try await client.manifest(repository, digest: big) }
                #expect(error?.code == .tooLarge)
            }
        }
    }

    @Test("resolves an index to the platform's image") func resolvesIndexToPlatformsImage() async throws {
        try await TestRegistry.withRegistry { registry in
            let arm = registry.addImage(repository: "test/app", tag: "arm", layers: [TestLayer([1])])
            let amd = registry.addImage(repository: "test/app", tag: "amd", layers: [TestLayer([2])])
            let index = registry.addIndex(
                repository: "test/app", tag: "both",
                manifests: [(arm.manifestDigest, "linux/arm64/v8"), (amd.manifestDigest, "linux/amd64")])
            try await withClient(configuration()) { client in
                for (platform, expected) in [("arm64", arm), ("amd64", amd)] {
                    let found = try await client.resolve(
                        try ImageReference(parsing: "\(registry.host)/test/app:both"),
                        platform: Platform(architecture: platform))
                    #expect(found.manifest.digest == expected.manifestDigest)
                    #expect(found.digest == index)
                    #expect(found.index?.manifests.count == 2)
                }
                let error = await failure {
                    _ = try await client.manifest(Repository(host: registry.host, name: "test/app"), digest: index)
                }
                #expect(error?.code == .unsupportedManifest)
            }
        }
    }

    @Test("stopping early releases everything") func stoppingEarlyReleasesEverything() async throws {
        try await TestRegistry.withRegistry { registry in
            let digest = registry.addBlob(pattern(8 << 20))
            try await withClient(configuration()) { client in
                for await _ in AsyncStream<Void>.once() {
                    let stream = try await client.open(registry.location(digest), .whole, priority: .background)
                    for try await _ in stream { break }
                }
                #expect(client.bytesReceived < 4 << 20)
                // All permits are free again.
                for _ in 0..<20 {
                    let stream = try await client.open(registry.location(digest), .suffix(1), priority: .background)
                    #expect(stream.range.count == 1)
                }
            }
        }
    }

    @Test("demand does not wait for background") func demandDoesNotWaitForBackground() async throws {
        try await TestRegistry.withRegistry { registry in
            let slow = registry.addBlob(pattern(1000))
            let fast = registry.addImage(repository: "test/app", layers: [TestLayer([1, 2, 3])])
            try await withClient(configuration()) { client in
                let gate = registry.hold(.blob)
                try await withThrowingTaskGroup { group in
                    for _ in 0..<40 {
                        group.addTask {
                            let stream = try await client.open(registry.location(slow), .whole, priority: .background)
                            _ = try await stream.collect(maximumSize: 1000)
                        }
                    }
                    await gate.waitUntilHeld(8)
                    // All background requests are held. The manifest request gets through, and the demand requests wait
                    // at the gate.
                    _ = try await client.manifest(
                        Repository(host: registry.host, name: "test/app"), digest: fast.manifestDigest)
                    for _ in 0..<16 {
                        group.addTask {
                            _ = try await client.open(registry.location(slow), .suffix(5), priority: .demand).collect(
                                maximumSize: 5)
                        }
                    }
                    await gate.waitUntilHeld(24)
                    #expect(gate.heldCount == 24)
                    gate.open()
                    try await group.waitForAll()
                }
                #expect(registry.requests(.blob).count == 56)
                #expect(Set(registry.requests.map(\.connection)).count <= 32)
            }
        }
    }

    @Test("reports cancellation and shutdown") func reportsCancellationAndShutdown() async throws {
        try await TestRegistry.withRegistry { registry in
            let location = registry.location(registry.addBlob(Self.bytes))
            try await withClient(configuration()) { client in
                let gate = registry.hold(.blob)
                let task = Task { await failure { _ = try await read(client, location) } }
                await gate.waitUntilHeld(1)
                task.cancel()
                #expect(await task.value?.code == .cancelled)
                gate.open()
                await client.shutdown()
                let error = await failure { _ = try await read(client, location) }
                #expect(error?.code == .shutDown)
            }
        }
    }

    @Test("tries every host before any twice") func triesEveryHostBeforeAnyTwice() {
        let policy = RetryPolicy()
        let now = MonotonicTime(nanoseconds: 0)
        var schedule = RetrySchedule(policy, priority: .demand, now: now)
        let gone = RegistryError(.notFound, "gone")
        let broken = RegistryError(.connection, "broken")
        #expect(schedule.begin(hosts: 0) == nil)
        #expect(schedule.begin(hosts: 3) == 0)
        #expect(schedule.failed(broken, host: 0, now: now, random: 0) == .tryHost(1, after: .zero))
        #expect(schedule.failed(gone, host: 1, now: now, random: 0) == .tryHost(2, after: .zero))
        #expect(schedule.failed(broken, host: 2, now: now, random: 0) == .tryHost(0, after: .milliseconds(50)))
        // Host 1 does not have it, so the schedule does not try that host again.
        #expect(schedule.failed(broken, host: 0, now: now, random: 1) == .tryHost(2, after: .zero))
        #expect(schedule.failed(gone, host: 2, now: now, random: 1) == .tryHost(0, after: .milliseconds(200)))
        #expect(schedule.failed(gone, host: 0, now: now, random: 1) == .giveUp(gone))
        var late = RetrySchedule(policy, priority: .demand, now: now)
        _ = late.begin(hosts: 1)
        #expect(late.failed(broken, host: 0, now: now.advanced(by: policy.budget), random: 1) == .giveUp(broken))
    }
}

extension AsyncStream where Element == Void {
    static func once() -> AsyncStream<Void> {
        AsyncStream { continuation in
            continuation.yield()
            continuation.finish()
        }
    }
}
