import Base
import Concurrency
import ContainerRuntime
import ContentStore
import Images
import LayerFormats
import NodeDatabase
import Registry
import TestRegistry
import TestSupport
import Testing

/// Containers on a chain that images with different layers claim.
@Suite("admission of chains", .timeLimit(.minutes(1))) struct AdmissionTests {
    /// The images that claim a chain, in place of containerd's content store.
    private final class Claims: ImageClaimSource {
        let snapshotter = "rivulet"
        private let images = Guarded<[ImageClaim]>([])

        /// - Parameter isThere: false if nobody knows a repository of the image.
        func add(
            _ image: PublishedImage, in registry: TestRegistry, isThere: Bool = true, _ client: RegistryClient
        ) async throws {
            let repository = Repository(host: registry.host, name: image.repository)
            let manifest = try await client.manifest(repository, digest: image.manifestDigest)
            let claim = ImageClaim(
                manifest: manifest.digest,
                layers: manifest.layers.map { layer in
                    LayerDescription(
                        digest: layer.digest, size: layer.size, mediaType: layer.mediaType,
                        annotations: layer.annotations)
                }, diffIDs: image.diffIDs, repositories: isThere ? [repository] : [])
            images.withLock { $0.append(claim) }
        }

        func images(
            claiming chainID: Digest, namespace: String
        ) async throws(ContainerRuntimeError) -> (images: [ImageClaim], isComplete: Bool) {
            (images.withLock { $0.filter { $0.chainID(of: $0.layers.count) == chainID } }, true)
        }
    }

    /// A victim's image, and an evil one that came first and states the victim's diff IDs.
    private struct Attack {
        let fixture: ImagesFixture
        let victim: PublishedImage
        let evilRegistry: TestRegistry
        /// The chain that containerd knows under the victim's ID.
        let chain: ChainKey

        var request: AdmissionRequest {
            let top = ImagesFixture.chainID(victim, victim.layerDigests.count - 1)
            return AdmissionRequest(chain: chain, chainID: top, topChainIDs: [top], namespace: "k8s.io")
        }

        /// Returns the blobs that the chain should have; `nil` if the chain is right.
        func admit() async throws -> [Digest]? {
            try await fixture.images.admit(request)?.map(\.layer.blob)
        }

        /// Returns the reason why no container is admitted; `nil` if one is.
        func refusal() async -> FallbackReason? {
            do {
                _ = try await fixture.images.admit(request)
                return nil
            } catch {
                return error
            }
        }
    }

    /// - Parameters:
    ///   - isEvilFirst: false if the chain has the victim's layers.
    ///   - isVictimThere: false if nobody knows a repository of the victim's image.
    private static func withAttack(
        isEvilFirst: Bool = true, isVictimThere: Bool = true, _ body: (Attack) async throws -> Void
    ) async throws {
        let claims = Claims()
        var options = ImageOptions()
        // Complete layers would be verified before the test begins.
        options.fillsInBackground = false
        try await ImagesFixture.with(options, claims: claims) { (fixture) async throws in
            try await TestRegistry.withRegistry(Behaviour()) { (evilRegistry) async throws in
                let victim = fixture.publish(["a", "b"])
                let evil = evilRegistry.addImage(
                    repository: "evil/app",
                    layers: zip(["x", "y"], victim.diffIDs).map { content, diffID in
                        let blob = ImagesFixture.blob(content)
                        return TestLayer(blob.bytes, annotations: blob.annotations, diffID: diffID)
                    })
                try await claims.add(evil, in: evilRegistry, fixture.client)
                try await claims.add(
                    victim, in: fixture.registry, isThere: isVictimThere, fixture.client)
                let chain = try #require(await fixture.prepareAll(isEvilFirst ? evil : victim))
                try await body(
                    Attack(fixture: fixture, victim: victim, evilRegistry: evilRegistry, chain: chain))
            }
        }
    }

    @Test("a wrong chain is rebuilt although its own registry sends nothing")
    func rebuildsBesideStalledRegistry() async throws {
        try await Self.withAttack { (attack) async throws in
            let gate = attack.evilRegistry.hold(.blob)
            defer { gate.open() }
            #expect(try await attack.admit() == attack.victim.layerDigests)
            await gate.waitUntilHeld(1)
        }
    }

    @Test("a right chain is admitted although another image's registry sends nothing")
    func admitsBesideStalledClaimant() async throws {
        try await Self.withAttack(isEvilFirst: false) { (attack) async throws in
            let gates = [RequestKind.blob, .manifest, .token].map { attack.evilRegistry.hold($0) }
            defer { for gate in gates { gate.open() } }
            #expect(try await attack.admit() == nil)
        }
    }

    @Test("a caller whose time is over is told to come back, and the next one finds the result")
    func continuesAfterCaller() async throws {
        try await Self.withAttack { (attack) async throws in
            let gates = [attack.evilRegistry, attack.fixture.registry].map { $0.hold(.blob) }
            defer { for gate in gates { gate.open() } }
            async let first = attack.refusal()
            await attack.fixture.clock.untilSleeping(for: ImageOptions().admissionPatience)
            await gates[1].waitUntilHeld(1)
            attack.fixture.clock.advance(by: ImageOptions().admissionPatience)
            let reason = await first
            #expect(reason?.code == .busy && reason?.detail.contains("try again later") == true, "\(reason as Any)")
            gates[1].open()
            #expect(try await attack.admit() == attack.victim.layerDigests)
        }
    }

    @Test("a sweep keeps the layers of a rebuild until they are recorded, but not for ever")
    func keepsRebuildFromSweep() async throws {
        try await Self.withAttack { (attack) async throws in
            let images = attack.fixture.images
            let chain = try #require(try await images.admit(attack.request)?.last?.chain)
            _ = await images.sweep()
            #expect(await !images.forget(chain))
            #expect(await images.isUsable(chain))
            #expect(await !images.isUsable(attack.chain), "no snapshot uses the old chain")
            attack.fixture.clock.advance(by: .seconds(301))
            _ = await images.sweep()
            #expect(await !images.isUsable(chain))
        }
    }

    @Test("one verified layer with another diff ID decides, although the others never come")
    func decidesByFirstLayer() async throws {
        try await Self.withAttack(isVictimThere: false) { (attack) async throws in
            let gate = attack.evilRegistry.hold(.blob)
            defer { gate.open() }
            let store = attack.fixture.store
            let bottom = try #require(try ChainRecords(attack.fixture.state).find(attack.chain)?.layers.first?.key)
            let layer = try #require(try store.layer(bottom))
            try store.markVerified(layer, diffID: Digest.of(ImagesFixture.blob("x").tar))
            let reason = await attack.refusal()
            #expect(reason?.code == .imageMismatch, "\(reason as Any)")
            #expect(reason?.detail.contains("its own layers are wrong") == true)
        }
    }
}

@Suite("turns of verifications") struct VerificationTurnsTests {
    private static let a = Repository(host: "a", name: "r")

    /// Returns the lanes of all turns that can be given now, with their tickets.
    private static func given(_ turns: inout VerificationTurns) -> [VerificationTurns.Ticket: VerificationTurns.Lane] {
        var given: [VerificationTurns.Ticket: VerificationTurns.Lane] = [:]
        while let turn = turns.take() { given[turn.ticket] = turn.lane }
        return given
    }

    @Test("one layer at a time is verified in the background, and urgent ones do not wait for it")
    func separatesUrgent() {
        var turns = VerificationTurns()
        let slow = turns.request(Self.a, isUrgent: false)
        let next = turns.request(Self.a, isUrgent: false)
        #expect(Self.given(&turns) == [slow: .background])
        let urgent = turns.request(Self.a, isUrgent: true)
        #expect(Self.given(&turns) == [urgent: .urgent])
        turns.end(urgent)
        turns.hurry(next)
        #expect(Self.given(&turns) == [next: .urgent], "a layer that waits may become urgent")
        let last = turns.request(Self.a, isUrgent: false)
        turns.end(slow)
        #expect(Self.given(&turns) == [last: .background])
    }

    @Test("a registry takes one urgent turn, however many layers it has")
    func sharesAmongRegistries() {
        var turns = VerificationTurns()
        let evil = (0..<128).map { _ in turns.request(Repository(host: "evil", name: "r"), isUrgent: true) }
        let honest = turns.request(Repository(host: "honest", name: "r"), isUrgent: true)
        #expect(Self.given(&turns) == [evil[0]: .urgent, honest: .urgent])
        #expect(!turns.isWanted(honest), "the evil layers wait for their own registry's turn")
        #expect(turns.isWanted(evil[0]))
        let others = (0..<5).map { turns.request(Repository(host: "\($0)", name: "r"), isUrgent: true) }
        #expect(Self.given(&turns) == [others[0]: .urgent])
        #expect(turns.isWanted(honest))
        turns.end(evil[0])
        #expect(Self.given(&turns) == [others[1]: .urgent], "the others have not had a turn yet")
        for other in others { turns.end(other) }
        #expect(Self.given(&turns) == [evil[1]: .urgent])
        // A place in the queue can be given up.
        turns.end(evil[2])
        turns.end(evil[1])
        #expect(Self.given(&turns) == [evil[3]: .urgent])
    }

    @Test("a repository with many layers does not keep another repository of its registry waiting for all of them")
    func sharesAmongRepositories() {
        var turns = VerificationTurns()
        let evil = (0..<128).map { _ in turns.request(Repository(host: "a", name: "evil"), isUrgent: true) }
        let honest = (0..<3).map { _ in turns.request(Repository(host: "a", name: "honest"), isUrgent: true) }
        var order: [VerificationTurns.Ticket] = []
        for _ in 0..<8 {
            guard let turn = turns.take() else { break }
            order.append(turn.ticket)
            turns.end(turn.ticket)
        }
        #expect(order == [evil[0], honest[0], evil[1], honest[1], evil[2], honest[2], evil[3], evil[4]])
    }

    @Test("a registry that sends drop by drop is too slow, and a distant one is not") func measuresPace() {
        let clock = ManualClock()
        let pace = BlobSource.Pace(clock: clock)
        func isSlow() -> Bool { pace.isBelow(rate: 1000, after: .seconds(10)) }
        pace.beginWaiting(isNew: true)
        clock.advance(by: .seconds(10))
        #expect(!isSlow())
        clock.advance(by: .seconds(1))
        #expect(isSlow())
        pace.endWaiting(bytes: 2000)
        #expect(!isSlow())
        // The node's own work on the bytes takes as long as it takes.
        clock.advance(by: .seconds(100))
        #expect(!isSlow())
        // Many small requests each take a round trip.
        for _ in 0..<100 {
            pace.beginWaiting(isNew: true)
            clock.advance(by: .milliseconds(200))
            pace.endWaiting(bytes: 1)
        }
        #expect(!isSlow())
        for _ in 0..<100 {
            pace.beginWaiting()
            clock.advance(by: .milliseconds(200))
            pace.endWaiting(bytes: 1)
        }
        #expect(isSlow())
    }
}
