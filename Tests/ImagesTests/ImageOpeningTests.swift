import Artifacts
import Base
import Images
import Testing

/// Every order of events, for many small images.
@Suite("image opening: every order of events") struct ImageOpeningTests {
    /// Visits every reachable world once, and counts the orders of events that lead through them.
    private struct Explorer {
        /// A world on the heap with its hash: a table of references grows without copying or hashing worlds.
        private final class Visited: Hashable {
            let world: OpeningWorld
            private let hash: Int

            init(_ world: OpeningWorld) {
                self.world = world
                hash = world.hashValue
            }

            static func == (one: Visited, other: Visited) -> Bool { one.hash == other.hash && one.world == other.world }
            func hash(into hasher: inout Hasher) { hasher.combine(hash) }
        }

        private(set) var violations: [String] = []
        private(set) var verdicts: Set<[Bool]?> = []
        private(set) var worlds = 0
        private var orders: [Visited: Double] = [:]

        /// Returns the number of orders in which the pending outcomes of `world` can arrive.
        mutating func explore(_ world: OpeningWorld) -> Double {
            let visited = Visited(world)
            if let known = orders[visited] { return known }
            worlds += 1
            if violations.count < 5 { violations += world.violations }
            guard !world.pending.isEmpty else {
                verdicts.insert(world.verdict)
                orders[visited] = 1
                return 1
            }
            var count = 0.0
            // An opening may also end before its deadline passes.
            if world.pending == [.deadline] { count += 1 }
            for arrival in world.pending {
                var next = world
                next.note(arrival)
                next.deliver(arrival)
                count += explore(next)
            }
            orders[visited] = count
            return count
        }
    }

    private static func expectSound(
        _ scenarios: [OpeningScenario], agree: Bool = true, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        var (orders, worlds) = (0.0, 0)
        for scenario in scenarios {
            var explorer = Explorer()
            orders += explorer.explore(OpeningWorld(OpeningImage(scenario)))
            worlds += explorer.worlds
            #expect(explorer.violations.isEmpty, "\(scenario)", sourceLocation: sourceLocation)
            if agree {
                #expect(
                    explorer.verdicts.count == 1, "\(scenario): the order decides what is streamed",
                    sourceLocation: sourceLocation)
            }
            if !explorer.violations.isEmpty { break }
        }
        print("image opening: \(scenarios.count) images, \(orders) orders of events, \(worlds) states")
    }

    /// Returns combinations of outcomes for an image of `layers`.
    ///
    /// - Parameter isThorough: true to include combinations of profiles and configurations that seldom make a
    ///   difference.
    private static func scenarios(
        _ layers: [OpeningScenario.Layer], isThorough: Bool = true
    ) -> [OpeningScenario] {
        let profiles = [(false, false), (true, true)] + (isThorough ? [(true, false)] : [])
        let configurations = [(true, true)] + (isThorough ? [(false, true), (true, false)] : [])
        var result: [OpeningScenario] = []
        for artifact in OpeningScenario.Artifact.allCases {
            for announces in artifact == .none ? [false] : [false, true] {
                for (hasProfile, finds) in profiles {
                    for (isFromContainerd, hasConfiguration) in configurations {
                        var scenario = OpeningScenario(layers: layers)
                        scenario.artifact = artifact
                        scenario.announces = announces
                        (scenario.hasProfile, scenario.findsStartProfile) = (hasProfile, finds)
                        (scenario.isFromContainerd, scenario.hasConfiguration) = (isFromContainerd, hasConfiguration)
                        result.append(scenario)
                    }
                }
            }
        }
        return result
    }

    @Test("one layer", arguments: OpeningScenario.Layer.allCases)
    func opensOneLayer(layer: OpeningScenario.Layer) {
        Self.expectSound(Self.scenarios([layer]))
    }

    @Test("two layers", arguments: OpeningScenario.Layer.allCases, OpeningScenario.Layer.allCases)
    func opensTwoLayers(bottom: OpeningScenario.Layer, top: OpeningScenario.Layer) {
        Self.expectSound(Self.scenarios([bottom, top], isThorough: false))
    }

    @Test("the deadline at any moment", arguments: OpeningScenario.Layer.allCases)
    func endsAtDeadline(layer: OpeningScenario.Layer) {
        let scenarios = Self.scenarios([layer]).map { scenario in
            var scenario = scenario
            scenario.hasDeadline = true
            return scenario
        }
        // If the artifact arrives too late, containerd downloads its layers.
        Self.expectSound(scenarios, agree: false)
    }

    @Test("an announcement of other contents than the artifact's")
    func survivesFalseAnnouncement() {
        let scenarios = Self.scenarios([.ordinary, .ordinary]).filter(\.announces).map { scenario in
            var scenario = scenario
            scenario.liesInAnnouncement = true
            return scenario
        }
        Self.expectSound(scenarios)
    }

    @Test("a manifest that fails") func failsWithManifest() {
        let scenarios = Self.scenarios([.ordinary]).map { scenario in
            var scenario = scenario
            scenario.failsManifest = true
            return scenario
        }
        Self.expectSound(scenarios)
    }

    @Test("a manifest that the client did not name") func opensUnnamedManifest() {
        let scenarios = Self.scenarios([.ordinary, .estargz]).map { scenario in
            var scenario = scenario
            scenario.namesManifest = false
            return scenario
        }
        Self.expectSound(scenarios)
    }

    @Test("more layers than are opened at once")
    func opensManyLayers() {
        let scenarios = Self.scenarios([.estargz, .ordinary, .estargz], isThorough: false).map { scenario in
            var scenario = scenario
            scenario.options.layersAtOnce = 2
            return scenario
        }
        Self.expectSound(scenarios)
    }

    @Test("labels that hide the annotations of the manifest", arguments: OpeningScenario.Layer.allCases)
    func opensWithoutLabels(layer: OpeningScenario.Layer) {
        let scenarios = Self.scenarios([layer, .estargz], isThorough: false).map { scenario in
            var scenario = scenario
            scenario.hidesAnnotations = true
            return scenario
        }
        Self.expectSound(scenarios)
    }
}
