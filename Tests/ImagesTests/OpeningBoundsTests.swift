import Base
import Concurrency
import Images
import LayerFormats
import TestRegistry
import TestSupport
import Testing

/// Hostile images next to ordinary ones: what a slow or large layer costs the others.
@Suite("opening bounds", .timeLimit(.minutes(1))) struct OpeningBoundsTests {
    /// A format whose openers work until their deadline is over.
    private struct EndlessFormat: LayerFormat {
        static let annotation = "test.endless"

        final class Gate: Sendable {
            private let state = Guarded((started: 0, isOpen: false))

            var started: Int { state.withLock { $0.started } }

            func open() {
                state.withLockBroadcasting { $0.isOpen = true }
            }

            /// Blocks until the gate is open.
            func enter() {
                state.withLock { $0.started += 1 }
                state.waitUntil { $0.isOpen ? () : nil }
            }
        }

        struct Opener: LayerOpener {
            let gate: Gate
            var memory: OpeningMemory? { OpeningMemory(least: 1, most: 1) }

            mutating func next(by deadline: WorkDeadline) throws(LayerFormatError) -> OpenStep {
                gate.enter()
                throw LayerFormatError(deadline.isOver ? .deadline : .badTOC, "the gate is open")
            }

            mutating func receive(_ bytes: [UInt8], range: ByteRange, blobSize: UInt64) throws(LayerFormatError) {}

            mutating func receiveCompanion(_ bytes: [UInt8]) throws(LayerFormatError) {}
        }

        let gate: Gate
        let name = "endless"

        func isAnnounced(by layer: LayerDescription) -> Bool { layer.annotations[Self.annotation] != nil }

        func pin(in layer: LayerDescription) -> Digest? { layer.digest }

        func mayBe(_ layer: LayerDescription) -> Bool { false }

        func opener(for layer: LayerDescription, options: LayerOpenOptions) -> any LayerOpener { Opener(gate: gate) }
    }

    private static func options(_ gate: EndlessFormat.Gate) -> ImageOptions {
        var options = ImageOptions()
        options.formats = LayerFormatRegistry([EndlessFormat(gate: gate), EstargzFormat()])
        options.buildsAtOnce = 2
        return options
    }

    private static func publishEndless(_ count: Int, _ fixture: ImagesFixture) -> PublishedImage {
        fixture.registry.addImage(
            repository: ImagesFixture.name, tag: "endless",
            layers: (0..<count).map {
                TestLayer(
                    Array("layer \($0)".utf8), annotations: [EndlessFormat.annotation: "1"], diffID: .of([UInt8($0)]))
            })
    }

    @Test("an endless build holds up no build, merge or mount of another image, and ends at its deadline")
    func separatesImages() async throws {
        let gate = EndlessFormat.Gate()
        try await ImagesFixture.with(Self.options(gate)) { (fixture) async throws in
            let endless = Self.publishEndless(5, fixture)
            async let outcome = fixture.prepare(endless, 0)
            defer { gate.open() }
            #expect(await eventually { gate.started == 1 }, "the build begins")
            let image = fixture.publish(["a", "b"])
            let chain = try #require(await fixture.prepareAll(image))
            _ = try await fixture.images.mountedDirectory(ofChain: chain)
            #expect(try fixture.names(in: chain) == ["a", "b"])
            #expect(gate.started == 1, "one image takes fewer permits than there are")
            fixture.clock.advance(by: .seconds(11))
            gate.open()
            #expect(await outcome.reason == .limit)
            #expect(gate.started == 1, "the other layers of the image are not tried")
        }
    }

    @Test("a layer that takes more memory than there is is declined") func declinesLargeLayer() async throws {
        var options = ImageOptions()
        options.openingMemory = 8 << 20
        try await ImagesFixture.with(options) { (fixture) async throws in
            let image = fixture.publish(["a"])
            let outcome = await fixture.prepare(image, 0)
            #expect(outcome.reason == .limit)
            #expect("\(outcome)".contains("limits.opening_memory"))
        }
    }

    @Test("layers wait for each other's memory and all get it") func waitsForMemory() async throws {
        var options = ImageOptions()
        // Building one layer takes just more than eight megabytes, and building has half of it.
        options.openingMemory = 24 << 20
        try await ImagesFixture.with(options) { (fixture) async throws in
            let image = fixture.publish((0..<12).map { "\($0)" })
            let chain = try #require(await fixture.prepareAll(image))
            _ = try await fixture.images.mountedDirectory(ofChain: chain)
            #expect(try fixture.names(in: chain).count == 12)
        }
    }

    @Test("the layers whose chain is too large to be merged are declined at the pull") func declinesLargeChain()
        async throws
    {
        var options = ImageOptions()
        options.openingMemory = 20 << 20
        try await ImagesFixture.with(options) { (fixture) async throws in
            let layers = (0..<6).map { number in
                let layer = EstargzBlob.make(
                    [.file("f\(number)", "x")] + (0..<8000).map { .directory("d\(number)/\($0)") })
                return TestLayer(layer.bytes, annotations: layer.annotations, diffID: Digest.of(layer.tar))
            }
            let image = fixture.registry.addImage(repository: ImagesFixture.name, tag: "large", layers: layers)
            #expect(await fixture.prepare(image, 0).isReady)
            #expect(await fixture.prepare(image, 5).reason == .limit)
        }
    }
}
