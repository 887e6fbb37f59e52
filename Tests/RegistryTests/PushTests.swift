import Base
import Registry
import TestRegistry
import Testing

/// Tests of pushes and referrers.
@Suite(.timeLimit(.minutes(1))) struct PushTests {
    private static let type = "application/vnd.example.thing.v1"

    private static func referrer(_ number: Int, of subject: Digest, type: String = Self.type) -> (
        bytes: [UInt8], descriptor: Descriptor
    ) {
        let empty = Digest.of(Array("{}".utf8))
        let bytes = Array(
            (#"{"schemaVersion":2,"mediaType":"\#(MediaType.ociManifest)","artifactType":"\#(type)","config":"#
                + #"{"mediaType":"application/vnd.oci.empty.v1+json","digest":"\#(empty)","size":2},"layers":[],"#
                + #""subject":{"mediaType":"\#(MediaType.ociManifest)","digest":"\#(subject)","size":1},"#
                + #""annotations":{"number":"\#(number)"}}"#).utf8)
        return (
            bytes,
            Descriptor(
                mediaType: MediaType.ociManifest, digest: Digest.of(bytes), size: UInt64(bytes.count),
                annotations: ["number": "\(number)"], artifactType: type)
        )
    }

    @Test("pushes blobs once with a push token") func pushesBlobsOnceWithPushToken() async throws {
        var behaviour = Behaviour()
        behaviour.authentication = .bearer(user: nil, password: "")
        try await TestRegistry.withRegistry(behaviour) { registry in
            try await withClient(RegistryConfiguration()) { client in
                let repository = Repository(host: registry.host, name: "team/app")
                let bytes = pattern(100_000)
                let digest = try await client.pushBlob(repository, bytes)
                #expect(digest == Digest.of(bytes) && registry.hasBlob(digest))
                #expect(registry.requests(.token).last.map { $0.query + $0.body }?.contains("push") == true)
                _ = try await client.pushBlob(repository, bytes)
                #expect(registry.requests(.upload).filter { $0.method == "PUT" && $0.authorization != nil }.count == 1)
                // The same token also allows pulls.
                let tokens = registry.requests(.token).count
                _ = try await client.blob(BlobLocation(repository: repository, digest: digest), maximumSize: 1 << 20)
                #expect(registry.requests(.token).count == tokens)
            }
        }
    }

    @Test("finds referrers with and without the API", arguments: [true, false]) func findsReferrersWithAndWithoutAPI(
        hasReferrers: Bool
    ) async throws {
        var behaviour = Behaviour()
        behaviour.hasReferrers = hasReferrers
        behaviour.referrersPage = 2
        try await TestRegistry.withRegistry(behaviour) { registry in
            try await withClient(RegistryConfiguration()) { client in
                let repository = Repository(host: registry.host, name: "team/app")
                let subject = Digest.of([1])
                #expect(try await client.referrers(repository, of: subject).isEmpty)
                try await client.pushBlob(repository, Array("{}".utf8))
                var pushed: Set<Digest> = []
                for number in 0..<5 {
                    let (bytes, descriptor) = Self.referrer(number, of: subject)
                    try await client.pushReferrer(to: repository, bytes: bytes, as: descriptor, subject: subject)
                    pushed.insert(descriptor.digest)
                }
                let (bytes, other) = Self.referrer(9, of: subject, type: "application/vnd.example.other")
                try await client.pushReferrer(to: repository, bytes: bytes, as: other, subject: subject)
                let found = try await client.referrers(repository, of: subject, artifactType: Self.type)
                #expect(Set(found.map(\.digest)) == pushed)
                #expect(try await client.referrers(repository, of: subject).count == 6)
                // A registry with the referrers API gets no further request for the fallback tag.
                let tagged = registry.requests.count {
                    $0.method == "GET" && $0.path.hasSuffix("sha256-\(subject.hex)")
                }
                #expect(!hasReferrers || tagged <= 1)
                if hasReferrers {
                    registry.inject(.status(404), into: .referrers, skipping: 1)
                    let error = await failure { _ = try await client.referrers(repository, of: subject) }
                    #expect(error?.code == .notFound, "a page that is gone does not end the list")
                }
                if !hasReferrers { #expect(found.allSatisfy { $0.annotations["number"] != nil }) }
                // A second push of the same referrer changes nothing.
                let index = registry.manifest("team/app", "sha256-\(subject.hex)")
                #expect((index == nil) == hasReferrers)
                let (again, descriptor) = Self.referrer(0, of: subject)
                try await client.pushReferrer(to: repository, bytes: again, as: descriptor, subject: subject)
                #expect(registry.manifest("team/app", "sha256-\(subject.hex)") == index)
                try await client.deleteReferrer(repository, digest: descriptor.digest, subject: subject)
                #expect(try await client.referrers(repository, of: subject).count == 5)
            }
        }
    }

    /// Every entry survives when several clients write the fallback index at once.
    @Test("concurrent writers keep all entries of the fallback index")
    func concurrentWritersKeepAllEntriesOfFallbackIndex() async throws {
        var behaviour = Behaviour()
        behaviour.hasReferrers = false
        try await TestRegistry.withRegistry(behaviour) { registry in
            try await withClient(RegistryConfiguration()) { client in
                let repository = Repository(host: registry.host, name: "team/app")
                let subject = Digest.of([1])
                try await client.pushBlob(repository, Array("{}".utf8))
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<4 {
                        group.addTask {
                            let (bytes, descriptor) = Self.referrer(number, of: subject)
                            try await client.pushReferrer(
                                to: repository, bytes: bytes, as: descriptor, subject: subject)
                        }
                    }
                    try await group.waitForAll()
                }
                #expect(try await client.referrers(repository, of: subject).count == 4)
            }
        }
    }

    @Test("rejects a malformed list") func rejectsMalformedList() async throws {
        try await TestRegistry.withRegistry { registry in
            try await withClient(RegistryConfiguration()) { client in
                let repository = Repository(host: registry.host, name: "team/app")
                registry.inject(.corrupt, into: .referrers)
                let error = await failure { _ = try await client.referrers(repository, of: Digest.of([1])) }
                #expect(error == nil || error?.code == .malformedAnswer)
                registry.inject(.status(403), into: .referrers)
                let refused = await failure { _ = try await client.referrers(repository, of: Digest.of([1])) }
                #expect(refused?.code == .unauthorized)
            }
        }
    }
}
