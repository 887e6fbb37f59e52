import Base
import Registry
import TestRegistry
import TestSupport
import Testing

struct AuthenticationTests {
    static let password = Credentials.password(user: "user", password: Secret("secret"))

    func bearer(_ change: (inout Behaviour) -> Void = { _ in }) -> Behaviour {
        var behaviour = Behaviour()
        behaviour.authentication = .bearer(user: "user", password: "secret")
        change(&behaviour)
        return behaviour
    }

    func read(_ client: RegistryClient, _ registry: TestRegistry, _ digest: Digest) async throws {
        _ = try await client.open(registry.location(digest), .suffix(1), priority: .demand).collect(maximumSize: 1)
    }

    @Test("authenticates with Basic") func authenticatesWithBasic() async throws {
        var behaviour = Behaviour()
        behaviour.authentication = .basic(user: "user", password: "secret")
        try await TestRegistry.withRegistry(behaviour) { registry in
            let digest = registry.addBlob([1, 2, 3])
            try await withClient(configuration(credentials: FakeCredentials(Self.password))) { client in
                try await read(client, registry, digest)
                try await read(client, registry, digest)
                // The second read sends the credentials without a challenge.
                #expect(client.requestCount == 3)
            }
            try await withClient(configuration()) { client in
                let error = await failure { try await read(client, registry, digest) }
                #expect(error?.code == .unauthorized)
            }
        }
    }

    @Test("fetches a token by POST or GET", arguments: [200, 400, 401, 404, 405])
    func fetchesTokenByPOSTOrGET(_ postStatus: Int) async throws {
        try await TestRegistry.withRegistry(bearer { $0.tokenPostStatus = postStatus }) { registry in
            let digest = registry.addBlob([1, 2, 3])
            try await withClient(configuration(credentials: FakeCredentials(Self.password))) { client in
                try await read(client, registry, digest)
                #expect(registry.requests(.token).map(\.method) == (postStatus == 200 ? ["POST"] : ["POST", "GET"]))
                let asked = registry.requests(.token).last
                let place = postStatus == 200 ? asked?.body : asked?.query
                #expect(place?.contains("scope=repository%3Atest%2Fapp%3Apull") == true)
                #expect(place?.contains("service=test") == true)
            }
        }
    }

    @Test("exchanges a refresh token") func exchangesRefreshToken() async throws {
        try await TestRegistry.withRegistry(bearer()) { registry in
            let digest = registry.addBlob([1, 2, 3])
            let source = FakeCredentials(.refreshToken(Secret("secret")))
            try await withClient(configuration(credentials: source)) { try await read($0, registry, digest) }
            #expect(registry.requests(.token).count == 1)
        }
    }

    @Test("fetches an anonymous token") func fetchesAnonymousToken() async throws {
        try await TestRegistry.withRegistry(bearer { $0.authentication = .bearer(user: nil, password: "") }) {
            registry in
            let digest = registry.addBlob([1, 2, 3])
            try await withClient(configuration()) { try await read($0, registry, digest) }
            #expect(registry.requests(.token).map(\.method) == ["GET"])
        }
    }

    @Test("reports wrong credentials without revealing them") func reportsWrongCredentialsWithoutRevealingThem()
        async throws
    {
        try await TestRegistry.withRegistry(bearer()) { registry in
            let digest = registry.addBlob([1, 2, 3])
            let source = FakeCredentials(.password(user: "user", password: Secret("hunter2")))
            try await withClient(configuration(credentials: source)) { client in
                let error = await failure { try await read(client, registry, digest) }
                #expect(error?.code == .unauthorized)
                #expect(error.map { "\($0)".contains("hunter2") } == false)
            }
        }
    }

    @Test("all requests share one token") func allRequestsShareOneToken() async throws {
        try await TestRegistry.withRegistry(bearer()) { registry in
            let digests = (1...8).map { registry.addBlob([UInt8($0)]) }
            let gate = registry.hold(.token)
            try await withClient(configuration(credentials: FakeCredentials(Self.password))) { client in
                try await withThrowingTaskGroup { group in
                    for digest in digests { group.addTask { try await read(client, registry, digest) } }
                    await gate.waitUntilHeld(1)
                    gate.open()
                    try await group.waitForAll()
                }
                #expect(client.counters.tokenRequests.value == 1)
            }
        }
    }

    @Test("renews an expired token with fresh credentials") func renewsExpiredTokenWithFreshCredentials() async throws {
        try await TestRegistry.withRegistry(bearer()) { registry in
            let digest = registry.addBlob([1, 2, 3])
            let source = FakeCredentials(Self.password)
            try await withClient(configuration(credentials: source)) { client in
                try await read(client, registry, digest)
                registry.expireTokens()
                try await read(client, registry, digest)
                #expect(source.requests.map(\.isRenewal) == [false, true])
                #expect(source.requests.map(\.host) == [registry.host, registry.host])
                #expect(registry.requests(.token).count == 2)
            }
        }
    }

    @Test("uses a token for most of its lifetime", arguments: [(nil, 53), (300, 269)] as [(Int?, UInt64)])
    func usesTokenForMostOfItsLifetime(_ life: Int?, _ usable: UInt64) async throws {
        try await TestRegistry.withRegistry(bearer { $0.tokenLife = life }) { registry in
            let digest = registry.addBlob([1, 2, 3])
            let clock = SkippingClock()
            try await withClient(configuration(clock, credentials: FakeCredentials(Self.password))) { client in
                try await read(client, registry, digest)
                clock.advance(by: .seconds(usable))
                try await read(client, registry, digest)
                #expect(client.counters.tokenRequests.value == 1)
                clock.advance(by: .seconds(2))
                try await read(client, registry, digest)
                #expect(client.counters.tokenRequests.value == 2)
                // The client fetched the token ahead, so the registry refused no further request.
                #expect(registry.requests(.blob).count == 4)
            }
        }
    }

    @Test(
        "parses challenges",
        arguments: [
            (
                #"Bearer realm="https://a/t",service="s, t",scope="repository:x:pull""#,
                [("bearer", ["realm": "https://a/t", "service": "s, t", "scope": "repository:x:pull"])]
            ),
            (
                #"Basic realm="a \"b\"", Bearer realm=https://a/t,service=s"#,
                [("basic", ["realm": #"a "b""#]), ("bearer", ["realm": "https://a/t", "service": "s"])]
            ),
            ("Negotiate, BASIC", [("negotiate", [:]), ("basic", [:])]),
            (#"Bearer realm="unterminated"#, [("bearer", [:])]), ("", []), ("=,=", []),
        ] as [(String, [(String, [String: String])])])
    func parsesChallenges(_ header: String, _ expected: [(String, [String: String])]) {
        let found = AuthChallenge.parse([header])
        #expect(found.map(\.scheme) == expected.map(\.0))
        #expect(found.map(\.parameters) == expected.map(\.1))
    }

    @Test("secrets print nothing") func secretsPrintNothing() {
        let secret = Secret("hunter2")
        var dumped = ""
        dump(Self.password, to: &dumped)
        dump(secret, to: &dumped)
        let texts = [
            "\(secret)", String(reflecting: secret), "\(Self.password)", String(reflecting: Self.password), dumped,
        ]
        #expect(texts.allSatisfy { !$0.contains("hunter2") && !$0.contains("secret\"") })
    }
}
