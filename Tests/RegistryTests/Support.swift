import Base
import Logging
import Registry
import TestRegistry
import TestSupport

/// Runs `body` with a client, and shuts the client down afterwards, even if `body` throws.
func withClient<Result>(
    _ configuration: RegistryConfiguration = RegistryConfiguration(), _ body: (RegistryClient) async throws -> Result
) async throws -> Result {
    let client = RegistryClient(
        configuration, logger: Logger.silent)
    do {
        let result = try await body(client)
        await client.shutdown()
        return result
    } catch {
        await client.shutdown()
        throw error
    }
}

/// Returns `count` pseudorandom bytes, so that each place of a blob has its own content.
func pattern(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var state = seed
    return (0..<count).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt8(truncatingIfNeeded: state >> 33)
    }
}

extension TestRegistry {
    /// Waits until clients have opened `count` connections. Returns false if they do not open them in time.
    func reaches(connections count: Int) async -> Bool {
        await eventually { connections >= count }
    }

    func location(_ digest: Digest, repository: String = "test/app") -> BlobLocation {
        BlobLocation(repository: Repository(host: host, name: repository), digest: digest)
    }
}

/// Returns a configuration whose waits take no time.
func configuration(_ clock: SkippingClock = SkippingClock(), credentials: any CredentialSource = AnonymousCredentials())
    -> RegistryConfiguration
{
    RegistryConfiguration(credentials: credentials, clock: clock, random: { 1 })
}

/// Returns the ``RegistryError`` that `body` throws, or `nil` if `body` throws another error or none.
func failure(_ body: () async throws -> Void) async -> RegistryError? {
    do {
        try await body()
        return nil
    } catch {
        return error as? RegistryError
    }
}

/// A source of fixed credentials that records its requests.
final class FakeCredentials: CredentialSource {
    private let answer: Credentials?
    private let state = Guarded<[CredentialRequest]>([])

    init(_ answer: Credentials?) { self.answer = answer }

    var requests: [CredentialRequest] { state.withLock { $0 } }

    func credentials(for request: CredentialRequest) async throws(RegistryError) -> Credentials? {
        state.withLock { $0.append(request) }
        return answer
    }
}
