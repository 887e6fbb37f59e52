import Base
import ContentStore
import Images
import Registry
import TestRegistry
import TestSupport
import Testing

/// Manifest, referrers and labels, in every order in which they can arrive.
@Suite("artifact races", .timeLimit(.minutes(1))) struct ArtifactRaceTests {
    @Test("streams an ordinary image through its artifact", arguments: [true, false])
    func streamsThroughArtifact(hasReferrers: Bool) async throws {
        var behaviour = Behaviour()
        behaviour.hasReferrers = hasReferrers
        try await ImagesFixture.with(ImageOptions(), behaviour) { (fixture) async throws in
            let image = fixture.publishOrdinary(["a", "b"])
            try await fixture.publishArtifact(of: image)
            #expect(await fixture.prepare(image, 0).isReady)
            #expect(await fixture.prepare(image, 1).isReady)
        }
    }

    @Test("asks for referrers beside the manifest") func asksBesideManifest() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let image = fixture.publishOrdinary(["a"])
            try await fixture.publishArtifact(of: image)
            fixture.registry.clearRequests()
            let (manifests, referrers) = (fixture.registry.hold(.manifest), fixture.registry.hold(.referrers))
            async let outcome = fixture.prepare(image, 0)
            // Both requests are in flight, whichever is answered first.
            await manifests.waitUntilHeld(1)
            await referrers.waitUntilHeld(1)
            referrers.open()
            manifests.open()
            #expect(await outcome.isReady)
        }
    }

    @Test("waits for referrers that come after the manifest") func waitsForReferrers() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let image = fixture.publishOrdinary(["a"])
            try await fixture.publishArtifact(of: image)
            fixture.registry.clearRequests()
            let referrers = fixture.registry.hold(.referrers)
            async let outcome = fixture.prepare(image, 0)
            await referrers.waitUntilHeld(1)
            #expect(await eventually { !fixture.registry.requests(.manifest).isEmpty })
            referrers.open()
            #expect(await outcome.isReady)
        }
    }

    @Test("does not look for an artifact if the labels promise a table of contents") func believesLabels() async throws
    {
        try await ImagesFixture.with { (fixture) async throws in
            let image = fixture.publish(["a", "b"])
            let labels = ImagesFixture.blob("a").annotations
            #expect(await fixture.prepare(image, 0, labels: labels).isReady)
            #expect(fixture.registry.requests(.referrers).isEmpty)
        }
    }

    @Test("does not wait for an artifact that the manifest makes needless") func dropsNeedlessLookup() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let image = fixture.publish(["a"])
            let referrers = fixture.registry.hold(.referrers)
            #expect(await fixture.prepare(image, 0).isReady)
            referrers.open()
        }
    }

    @Test("declines an ordinary image at the deadline of its look-ups") func declinesAtDeadline() async throws {
        try await ImagesFixture.with { (fixture) async throws in
            let image = fixture.publishOrdinary(["a"])
            let referrers = fixture.registry.hold(.referrers)
            async let outcome = fixture.prepare(image, 0)
            await referrers.waitUntilHeld(1)
            #expect(await eventually { !fixture.registry.requests(.manifest).isEmpty })
            await fixture.clock.untilSleeping(for: ImageOptions().optionalLookups)
            fixture.clock.advance(by: ImageOptions().optionalLookups)
            #expect(await outcome.reason == .unverified)
            referrers.open()
        }
    }

    @Test("uses no artifact when these are switched off") func ignoresArtifacts() async throws {
        var options = ImageOptions()
        options.usesArtifacts = false
        try await ImagesFixture.with(options) { (fixture) async throws in
            let image = fixture.publishOrdinary(["a"])
            try await fixture.publishArtifact(of: image)
            fixture.registry.clearRequests()
            #expect(await fixture.prepare(image, 0).reason == .unverified)
            #expect(fixture.registry.requests(.referrers).isEmpty)
        }
    }
}
