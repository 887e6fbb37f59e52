import Base
import Linux
import Registry
import TestRegistry
import TestSupport
import Testing

/// Tests of connections that the client opens ahead of demand.
struct ReadyConnectionTests {
    /// Runs a test with a registry. The client knows it as `r.example`.
    private func withClient(
        ready: Int = 4, _ body: (TestRegistry, SkippingClock, RegistryClient, BlobLocation) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { root in
            try await TestRegistry.withRegistry { registry in
                try write("server = \"\(registry.url)\"\n", to: "\(root)/r.example/hosts.toml")
                let clock = SkippingClock()
                var settings = configuration(clock)
                settings.hostDirectories = [root]
                settings.readyConnections = ready
                try await RegistryTests.withClient(settings) { client in
                    let digest = registry.addBlob(pattern(1000))
                    let location = BlobLocation(repository: Repository(host: "r.example", name: "a/b"), digest: digest)
                    try await body(registry, clock, client, location)
                }
            }
        }
    }

    private func read(_ client: RegistryClient, _ location: BlobLocation) async throws {
        let stream = try await client.open(location, .range(ByteRange(offset: 1, end: 11)), priority: .demand)
        #expect(try await stream.collect(maximumSize: 10) == Array(pattern(1000)[1..<11]))
    }

    @Test("requests use open connections") func requestsUseOpenConnections() async throws {
        try await withClient { registry, _, client, location in
            await client.makeReady("r.example")
            #expect(await registry.reaches(connections: 4))
            #expect(registry.requests.isEmpty)
            // The client opens no new connections while these exist.
            await client.makeReady("r.example")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 { group.addTask { try await read(client, location) } }
                try await group.waitForAll()
            }
            #expect(registry.requests.count == 4)
            #expect(registry.connections == 4)
        }
    }

    @Test("opens none to a registry in use") func opensNoneToRegistryInUse() async throws {
        try await withClient { registry, _, client, location in
            try await read(client, location)
            await client.makeReady("r.example")
            try await read(client, location)
            #expect(registry.connections == 1)
        }
    }

    @Test("zero disables them") func zeroDisablesThem() async throws {
        try await withClient(ready: 0) { registry, _, client, location in
            await client.makeReady("r.example")
            try await read(client, location)
            #expect(registry.connections == 1)
        }
    }

    /// A dead registry causes no error until the client sends a request.
    @Test("ignores a dead registry") func ignoresDeadRegistry() async throws {
        try await withTemporaryDirectory { root in
            try write("server = \"http://127.0.0.1:1\"\n", to: "\(root)/r.example/hosts.toml")
            var settings = configuration()
            settings.hostDirectories = [root]
            try await RegistryTests.withClient(settings) { client in
                await client.makeReady("r.example")
                await client.makeReady("not a host")
                #expect(client.requestCount == 0)
            }
        }
    }

    @Test("opens connections to the storage behind") func opensConnectionsToStorageBehind() async throws {
        try await RedirectTests().withStorage { registry, storage, clock, client, location in
            try await RedirectTests().read(client, location)
            let before = storage.connections
            clock.advance(by: .seconds(61))
            await client.makeReady(registry.host)
            // The read's own connection is still open, because only the test's clock has advanced.
            #expect(await storage.reaches(connections: before + 3))
        }
    }

    @Test("lists upstreams from directories") func listsUpstreamsFromDirectories() async throws {
        try await withTemporaryDirectory { root in
            for name in ["_default", "r.example", "h_5000_", "h.example:5001", "bad name"] {
                try write("", to: "\(root)/1/\(name)/hosts.toml")
            }
            try write("", to: "\(root)/2/r.example/hosts.toml")
            try write("", to: "\(root)/2/file.example")
            var settings = configuration()
            settings.hostDirectories = ["\(root)/1", "\(root)/2", "\(root)/missing"]
            try await RegistryTests.withClient(settings) { client in
                #expect(await client.configuredUpstreams() == ["h.example:5001", "h:5000", "r.example"])
            }
        }
    }
}
