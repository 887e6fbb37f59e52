import Base
import Concurrency
import Registry
import TestRegistry
import TestSupport
import Testing

struct RedirectTests {
    /// Runs a test with a registry that uses Bearer tokens. It redirects blob requests to a storage server by presigned
    /// URLs.
    func withStorage(
        life: Int = 1200,
        _ body: (TestRegistry, TestRegistry, SkippingClock, RegistryClient, BlobLocation) async throws -> Void
    ) async throws {
        let clock = SkippingClock()
        try await TestRegistry.withRegistry { storage in
            var behaviour = Behaviour()
            behaviour.authentication = .bearer(user: nil, password: "")
            behaviour.redirect = .init(to: storage, life: life, issued: clock.secondsSince1970)
            try await TestRegistry.withRegistry(behaviour) { registry in
                let digest = registry.addBlob(pattern(10_000))
                try await withClient(configuration(clock)) { client in
                    try await body(registry, storage, clock, client, registry.location(digest))
                }
            }
        }
    }

    func read(_ client: RegistryClient, _ location: BlobLocation) async throws {
        let stream = try await client.open(location, .range(ByteRange(offset: 5, end: 15)), priority: .demand)
        #expect(try await stream.collect(maximumSize: 10) == Array(pattern(10_000)[5..<15]))
    }

    @Test("remembers the target and sends it no credentials") func remembersTargetAndSendsItNoCredentials() async throws
    {
        try await withStorage { registry, storage, _, client, location in
            for _ in 0..<3 { try await read(client, location) }
            #expect(registry.requests(.blob).count == 2)
            #expect(registry.requests(.blob).last?.authorization?.hasPrefix("Bearer ") == true)
            #expect(storage.requests.count == 3)
            #expect(storage.requests.allSatisfy { $0.authorization == nil && $0.range == "bytes=5-14" })
            #expect(Set(storage.requests.map(\.connection)).count == 1)
        }
    }

    @Test("renews an expired signature") func renewsExpiredSignature() async throws {
        try await withStorage { registry, storage, _, client, location in
            try await read(client, location)
            storage.expireSignatures()
            try await read(client, location)
            try await read(client, location)
            #expect(registry.requests(.blob).count == 3)
            #expect(storage.requests.count == 4)
        }
    }

    @Test("stops using a signature before it expires") func stopsUsingSignatureBeforeItExpires() async throws {
        try await withStorage(life: 60) { registry, storage, clock, client, location in
            try await read(client, location)
            clock.advance(by: .seconds(49))
            try await read(client, location)
            #expect(registry.requests(.blob).count == 2)
            clock.advance(by: .seconds(2))
            try await read(client, location)
            #expect(registry.requests(.blob).count == 3)
        }
    }

    @Test("resolves a vanished target again") func resolvesVanishedTargetAgain() async throws {
        try await withStorage { registry, storage, clock, client, location in
            try await read(client, location)
            storage.inject(.close, into: .storage)
            try await read(client, location)
            #expect(registry.requests(.blob).count == 3)
        }
    }

    @Test("a target that refuses at once is an error") func targetThatRefusesAtOnceIsError() async throws {
        try await withStorage { registry, storage, clock, client, location in
            storage.inject(.status(403), times: 100, into: .storage)
            let error = await failure { try await read(client, location) }
            #expect(error?.code == .unauthorized)
        }
    }

    @Test(
        "rejects bad targets",
        arguments: ["/v2/test/app/blobs/loop", "ftp://host/x", "http://", "::", "http://user:pw@127.0.0.1/x"])
    func rejectsBadTargets(_ target: String) async throws {
        var behaviour = Behaviour()
        behaviour.location = target
        try await TestRegistry.withRegistry(behaviour) { registry in
            let digest = registry.addBlob([1])
            if target.hasPrefix("/") {
                var looping = behaviour
                looping.location = "/v2/test/app/blobs/\(digest)"
                registry.behaviour = looping
            }
            try await withClient(configuration()) { client in
                let error = await failure {
                    _ = try await client.open(registry.location(digest), .suffix(1), priority: .demand)
                }
                #expect(error?.code == (target.hasPrefix("/") ? .redirectRefused : .malformedAnswer))
                #expect(registry.requests.count <= 6)
            }
        }
    }

    static let now: Int64 = 1_704_067_200
    @Test(
        "computes the lifetime of a target",
        arguments: [
            ("https://s3/x?X-Amz-Date=20240101T000000Z&X-Amz-Expires=900", nil, 890),
            ("https://g/x?X-Goog-Date=20240101T000000Z&X-Goog-Expires=300", nil, 290),
            ("https://a/x?se=2024-01-01T00%3A10%3A00Z&sig=abc%3D", nil, 590),
            ("https://c/x?Expires=\(now + 120)&Signature=x&Key-Pair-Id=y", nil, 110),
            ("https://c/x?expires=\(now - 5)", nil, -15),
            ("https://s3/x?X-Amz-Date=20240101T000000Z&X-Amz-Expires=604800", nil, 6 * 3600),
            ("https://p/x", "public, max-age=100", 90), ("https://p/x", "no-store", -10), ("https://p/x", nil, 50),
            ("https://s3/x?X-Amz-Date=nonsense&X-Amz-Expires=900", nil, 50),
            ("https://s3/x?X-Amz-Date=20240101T000000Z&X-Amz-Expires=-1", nil, 50),
            ("https://a/x?se=2024-13-41T99:99:99Z&sig=1", "max-age=9999999999999999999", 50),
        ] as [(String, String?, Int64)])
    func computesLifetimeOfTarget(_ url: String, _ cacheControl: String?, _ expected: Int64) {
        #expect(RedirectExpiry.end(url: url, cacheControl: cacheControl, now: Self.now) - Self.now == expected)
    }

    @Test(
        "parses dates",
        arguments: [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777 as Int64?), ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
            ("Sun Nov  6 08:49:37 1994", 784_111_777), ("Thu, 29 Feb 2024 00:00:00 GMT", 1_709_164_800),
            ("yesterday", nil), ("Sun, 99 Nov 1994 08:49:37 GMT", nil), ("Sun, 06 Nov 1994 25:49:37 GMT", nil),
            ("", nil),
        ])
    func parsesDates(_ text: String, _ expected: Int64?) {
        #expect(HTTPDate.secondsSince1970(text) == expected)
    }
}
