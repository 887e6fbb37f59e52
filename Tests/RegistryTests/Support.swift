import Base
import Logging
import Registry
import TestRegistry

/// A client for tests, shut down whatever happens.
func withClient<Result>(
    _ configuration: RegistryConfiguration = RegistryConfiguration(), _ body: (RegistryClient) async throws -> Result
) async throws -> Result {
    let client = RegistryClient(configuration, logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
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
    func location(_ digest: Digest, repository: String = "test/app") -> BlobLocation {
        BlobLocation(repository: Repository(host: host, name: repository), digest: digest)
    }
}
