import Base
import Logging
import Registry
import TestRegistry

/// A client for tests, shut down whatever happens.
func withClient<Result>(
    _ configuration: RegistryConfiguration = RegistryConfiguration(), _ body: (RegistryClient) async throws -> Result
) async throws -> Result {
    let client = RegistryClient(
        configuration, logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
    do {
        let result = try await body(client)
        await client.shutdown()
        return result
    } catch {
        await client.shutdown()
        throw error
    }
}

/// Bytes that differ from place to place.
func pattern(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var state = seed
    return (0..<count).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt8(truncatingIfNeeded: state >> 33)
    }
}

extension TestRegistry {
    /// Waits until so many connections have been made to it; whether they have.
    func reaches(connections count: Int) async -> Bool {
        for _ in 0..<500 {
            if connections >= count { return true }
            try? await Task.sleep(for: .milliseconds(10))
        }
        return false
    }

    func location(_ digest: Digest, repository: String = "test/app") -> BlobLocation {
        BlobLocation(repository: Repository(host: host, name: repository), digest: digest)
    }
}

/// A clock that moves only when somebody sleeps by it or the test turns it, and remembers the sleeps.
final class TestClock: Sendable {
    private struct State {
        var nanoseconds: UInt64 = 1_000_000_000
        var sleeps: [UInt64] = []
    }

    private let state = Guarded(State())
    /// What the wall clock shows at the beginning: 2024-01-01T00:00:00Z.
    static let start: Int64 = 1_704_067_200

    var sleeps: [UInt64] { state.withLock { $0.sleeps } }
    var date: Int64 { Self.start + Int64(state.withLock { $0.nanoseconds } / 1_000_000_000) - 1 }

    func advance(seconds: UInt64) { state.withLock { $0.nanoseconds += seconds * 1_000_000_000 } }

    var clock: RegistryClock {
        RegistryClock(
            now: { MonotonicTime(nanoseconds: self.state.withLock { $0.nanoseconds }) },
            secondsSince1970: { self.date },
            sleep: { nanoseconds in
                try Task.checkCancellation()
                self.state.withLock {
                    $0.sleeps.append(nanoseconds)
                    $0.nanoseconds += nanoseconds
                }
            },
            random: { 1 })
    }
}

/// A configuration whose waits take no time.
func configuration(_ clock: TestClock = TestClock(), credentials: any CredentialSource = AnonymousCredentials())
    -> RegistryConfiguration
{
    RegistryConfiguration(credentials: credentials, clock: clock.clock)
}

/// The code of the error that `body` throws; `nil` when it throws none of ours.
func failure(_ body: () async throws -> Void) async -> RegistryError? {
    do {
        try await body()
        return nil
    } catch {
        return error as? RegistryError
    }
}

/// Answers with what it is given, and remembers what it was asked.
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
