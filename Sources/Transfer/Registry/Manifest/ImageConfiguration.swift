public import Base
import FoundationEssentials

/// An image's configuration (OCI image-spec, config.md; Docker's is the same here): what Rivulet needs of it. It is what
/// the author of the image claims, bound to the image by the manifest.
public struct ImageConfiguration: Sendable, Equatable {
    /// What is run: the entrypoint, and the command behind it.
    public var entrypoint: [String]
    public var command: [String]
    /// `NAME=value`.
    public var environment: [String]
    /// Empty when nothing is said: the root then.
    public var workingDirectory: String
    /// The digests of the layers' archives, bottom first.
    public var diffIDs: [Digest]

    /// The chain of all layers (OCI image-spec, config.md, "Layer ChainID"); `nil` when there are none.
    public var chainID: Digest? {
        diffIDs.dropFirst().reduce(diffIDs.first) { chain, diffID in
            chain.map { Digest.of(Array("\($0) \(diffID)".utf8)) }
        }
    }

    private struct Wire: Decodable {
        struct Config: Decodable {
            var Entrypoint: [String]?
            var Cmd: [String]?
            var Env: [String]?
            var WorkingDir: String?
        }

        struct RootFS: Decodable { var diff_ids: [Digest]? }

        var config: Config?
        var rootfs: RootFS?
    }

    /// - Parameter bytes: at most ``RegistryClient/maximumConfigSize``, their digest checked.
    public init(bytes: [UInt8]) throws(RegistryError) {
        let wire: Wire
        do {
            wire = try JSONDecoder().decode(Wire.self, from: Data(bytes))
        } catch {
            throw RegistryError(.invalidManifest, "an image configuration cannot be decoded", cause: error)
        }
        entrypoint = wire.config?.Entrypoint ?? []
        command = wire.config?.Cmd ?? []
        environment = wire.config?.Env ?? []
        workingDirectory = wire.config?.WorkingDir ?? ""
        diffIDs = wire.rootfs?.diff_ids ?? []
    }
}
