public import Base
import FoundationEssentials

/// The parts of an image's configuration that Rivulet needs (OCI image-spec, config.md). Docker's configuration has the
/// same parts. The image's author chose the values. The manifest's digest protects them against changes, but they may
/// be wrong: a diff ID may not match its layer.
public struct ImageConfiguration: Sendable, Equatable {
    /// The first words of the process's command line. The words of ``command`` follow.
    public var entrypoint: [String]
    public var command: [String]
    /// The environment, as entries of the form `NAME=value`.
    public var environment: [String]
    /// The working directory. It is empty if the image sets none. The process then starts in the root directory.
    public var workingDirectory: String
    /// The digests of the layers' uncompressed tar archives, bottom first.
    public var diffIDs: [Digest]

    /// The chain ID of all layers (OCI image-spec, config.md, "Layer ChainID"); `nil` if there are no layers.
    public var chainID: Digest? {
        diffIDs.reduce(nil) { Self.chainID(of: $1, on: $0) }
    }

    /// Returns the chain ID of a chain whose top layer has the diff ID `diffID`. `below` is the chain ID of the layers
    /// under the top layer; `nil` if there are none.
    public static func chainID(of diffID: Digest, on below: Digest?) -> Digest {
        below.map { Digest.of(Array("\($0) \(diffID)".utf8)) } ?? diffID
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

    /// Decodes a configuration.
    ///
    /// - Parameter bytes: the configuration blob. The caller has verified its digest, and that it has at most
    ///   ``RegistryClient/maximumConfigSize`` bytes.
    /// - Throws: `invalidManifest` if the blob is malformed.
    public init(bytes: [UInt8]) throws(RegistryError) {
        let wire: Wire
        do {
            wire = try JSONDecoder().decode(Wire.self, from: Data(bytes))
        } catch {
            throw RegistryError(.invalidManifest, "cannot decode the image configuration", cause: error)
        }
        entrypoint = wire.config?.Entrypoint ?? []
        command = wire.config?.Cmd ?? []
        environment = wire.config?.Env ?? []
        workingDirectory = wire.config?.WorkingDir ?? ""
        diffIDs = wire.rootfs?.diff_ids ?? []
    }
}
