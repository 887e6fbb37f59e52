import Base
import ContentStore
import Glibc
import LayerIndex
import LazyFixtures
import Linux
import Prediction
import TestSupport
import Testing

/// Tests that a predictor survives everything that its analyzer does.
@Suite(
    .timeLimit(.minutes(1)),
    .disabled(if: Sanitizer.isPresent, "a sanitizer needs more address space than an analyzer has")
) struct PredictorTests {
    /// An image whose chunks arrive as soon as they are predicted.
    final class Image: Sendable {
        let fixture: StoreFixture
        let layer: StoredLayer
        let tree: TreeImage
        let id: ChainKey

        init(_ fixture: StoreFixture, _ files: [(String, String)]) throws {
            var layer = LayerFixture()
            for (path, text) in files { layer.file(path, Array(text.utf8)) }
            self.fixture = fixture
            self.layer = try fixture.install([layer])[0]
            id = ChainKey(parent: nil, layer: self.layer.key)
            tree = try fixture.store.installChain(id, tree: ContentStore.mergedTree(of: [self.layer]))
        }

        /// The subject of a prediction.
        var subject: PredictionSubject {
            let (store, id) = (fixture.store, id)
            return PredictionSubject(layers: [layer]) { try store.openTree(ofChain: id) }
        }

        /// Starts a prediction for `arguments`, and publishes the predicted chunks.
        func begin(_ predictor: Predictor, _ arguments: [String]) -> Losses {
            let losses = Losses()
            let key = PredictionKey.unique()
            predictor.begin(key, of: subject) { [self, weak predictor] event in
                switch event {
                case .runs(let runs):
                    for run in runs { try? fixture.source.publish(run.layer, run.chunks) }
                    predictor?.wake()
                case .lost(let reason): losses.add(reason)
                case .settled, .order: break
                }
            }
            predictor.configure(key, ContainerStart(arguments: arguments))
            return losses
        }

        func isPresent(_ path: String) throws -> Bool {
            var inode = tree.rootInode
            for name in path.split(separator: "/") {
                inode = try #require(try Array(name.utf8).withUnsafeBytes { try tree.lookup(inode, $0) })
            }
            let content = try #require(try tree.content(inode))
            return layer.missing(in: layer.chunks.chunks(overlapping: content.range)) == nil
        }
    }

    final class Losses: Sendable {
        private let reasons = Guarded<[PredictionLoss]>([])

        func add(_ reason: PredictionLoss) { reasons.withLockBroadcasting { $0.append(reason) } }

        /// Waits for the first loss, and returns its reason; `nil` if none occurs within 20 s.
        func first() -> PredictionLoss? { reasons.waitUntil(timeout: 20_000_000_000) { $0.first } }
        var isEmpty: Bool { reasons.withLock { $0.isEmpty } }
    }

    private func withImage(
        _ files: [(String, String)], _ body: (Image) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory(in: "/var/tmp") { root in
            try await body(try Image(try StoreFixture(root: root), files))
        }
    }

    @Test(
        "loses one start and takes the others up again",
        arguments: [
            ("trap", PredictionLoss.crash), ("recurse", .crash), ("hog", .crash), ("exit", .crash), ("loop", .hang),
            ("lie", .violation), ("babble", .violation),
        ])
    func survives(_ behavior: String, _ reason: PredictionLoss) async throws {
        let files = [
            ("bin/app", "#!/bin/sh\n"), ("etc/x.evil", behavior), ("etc/a.conf", "/etc/b.conf"),
            ("etc/b.conf", "/etc/c.conf"), ("etc/c.conf", "#"), ("etc/d.conf", "/etc/e.conf"), ("etc/e.conf", "#"),
        ]
        try await withImage(files) { image in
            let failures = Guarded<[AnalyzerFailure]>([])
            var options = try PredictorOptions.hostile
            // Only a loop is to reach the limit on time, also on a slow machine.
            if reason != .hang { options.turnProcessorTime = .seconds(10) }
            let predictor = try Predictor(options) { failure in failures.withLock { $0.append(failure) } }
            let good = image.begin(predictor, ["/bin/app", "/etc/a.conf"])
            let bad = image.begin(predictor, ["/bin/app", "/etc/x.evil"])
            #expect(bad.first() == reason)
            #expect(try await eventually { try image.isPresent("etc/c.conf") })
            // A new start gets a new analyzer.
            let later = image.begin(predictor, ["/bin/app", "/etc/d.conf"])
            #expect(try await eventually { try image.isPresent("etc/e.conf") })
            #expect(good.isEmpty && later.isEmpty)
            let statistics = predictor.statistics
            #expect(statistics.lost == [reason: 1])
            #expect(statistics.failures == 1)
            #expect(statistics.starts == 3)
            #expect(failures.withLock { $0.map(\.losesStart) } == [true], "\(failures.withLock { $0 })")
            predictor.close()
            predictor.join()
        }
    }

    @Test("starts the analyzer again after each failure")
    func restarts() async throws {
        try await withImage([("bin/app", "#!/bin/sh\n"), ("etc/x.evil", "trap"), ("etc/a.conf", "#")]) { image in
            let predictor = try Predictor(try .hostile)
            for count in 1...5 as ClosedRange<UInt64> {
                #expect(image.begin(predictor, ["/bin/app", "/etc/x.evil"]).first() == .crash)
                // The predictor updates its statistics after it sends the event.
                #expect(await eventually { predictor.statistics.failures == count })
            }
            _ = image.begin(predictor, ["/bin/app", "/etc/a.conf"])
            #expect(try await eventually { try image.isPresent("etc/a.conf") })
            predictor.close()
            predictor.join()
        }
    }

    @Test("reports that there is no analyzer", arguments: [nil, "/bin/true", "/nonexistent"])
    func reportsMissingAnalyzer(_ program: String?) async throws {
        try await withImage([("bin/app", "x")]) { image in
            var options = try PredictorOptions.hostile
            options.program = program
            let predictor = try Predictor(options)
            let losses = Losses()
            let subject = PredictionSubject(layers: [image.layer], includesPresent: true) {
                try image.layer.openTree()
            }
            predictor.begin(.unique(), of: subject) { event in
                if case .lost(let reason) = event { losses.add(reason) }
            }
            #expect(losses.first() == .unavailable)
            predictor.close()
            predictor.join()
        }
    }

    @Test("takes turns: a start that never ends does not keep others waiting")
    func takesTurns() async throws {
        // Each file names the next one, so this start takes turn after turn.
        let long = (0..<400).map { ("long/\($0).conf", "/long/\($0 + 1).conf") }
        try await withImage([("bin/app", "#!/bin/sh\n"), ("etc/a.conf", "/etc/b.conf"), ("etc/b.conf", "#")] + long) {
            image in
            let predictor = try Predictor(try .hostile)
            _ = image.begin(predictor, ["/bin/app", "/long/0.conf"])
            _ = image.begin(predictor, ["/bin/app", "/etc/a.conf"])
            #expect(try await eventually { try image.isPresent("etc/b.conf") })
            #expect(try await eventually { try image.isPresent("long/399.conf") })
            predictor.close()
            predictor.join()
        }
    }

    /// Prints the costs of the process: its memory, and the time from a configuration to the end of the first turn.
    @Test("stays small and answers fast")
    func costsLittle() async throws {
        let modules = (0..<64).map { ("etc/\($0).conf", "# \($0)") }
        try await withImage([("bin/app", "#!/bin/sh\n")] + modules) { image in
            let predictor = try Predictor(try .hostile)
            let arguments = ["/bin/app"] + (0..<64).map { "/etc/\($0).conf" }
            var times: [Duration] = []
            for _ in 0..<200 {
                let key = PredictionKey.unique()
                let (events, continuation) = AsyncStream.makeStream(of: PredictionEvent.self)
                predictor.begin(key, of: image.subject) { continuation.yield($0) }
                let start = ContinuousClock.now
                predictor.configure(key, ContainerStart(arguments: arguments))
                for await event in events { if case .settled = event { break } }
                times.append(ContinuousClock.now - start)
                predictor.end(key)
            }
            times.sort()
            let process = try #require(predictor.statistics.process)
            let status = String(decoding: try Sys.readFile("/proc/\(process)/status", limit: 1 << 16), as: UTF8.self)
            let resident = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") })
            let kilobytes = try #require(resident.split(separator: " ").compactMap { Int($0) }.first)
            print("analyzer: \(kilobytes) kB resident; first turn \(times[100]) median, \(times[0]) least")
            #expect(kilobytes < 64 << 10)
            predictor.close()
            predictor.join()
        }
    }

    @Test("leaves no process behind")
    func leavesNothing() async throws {
        try await withImage([("bin/app", "#!/bin/sh\n"), ("etc/a.conf", "#")]) { image in
            let predictor = try Predictor(try .hostile)
            _ = image.begin(predictor, ["/bin/app", "/etc/a.conf"])
            #expect(try await eventually { try image.isPresent("etc/a.conf") })
            let process = try #require(predictor.statistics.process)
            #expect(kill(process, 0) == 0)
            predictor.close()
            predictor.join()
            #expect(predictor.statistics.process == nil)
            #expect(kill(process, 0) == -1)
        }
    }
}
