public import Base
import FoundationEssentials
public import Registry

/// The origin of a layer index: the image whose streaming artifact contained the index. The store keeps the origin with
/// the layer until the layer has been audited.
public struct LayerOrigin: Sendable, Equatable {
    public let repository: Repository
    /// The digest of the image's manifest.
    public let manifest: Digest

    public init(repository: Repository, manifest: Digest) {
        self.repository = repository
        self.manifest = manifest
    }

    private struct Wire: Codable {
        let host: String
        let name: String
        let manifest: String
    }

    /// Reads the bytes that ``encoded()`` returned; `nil` if `bytes` are anything else.
    public init?(_ bytes: [UInt8]) {
        guard let wire = try? JSONDecoder().decode(Wire.self, from: Data(bytes)), let digest = Digest(wire.manifest),
            let reference = try? ImageReference(parsing: "\(wire.host)/\(wire.name)")
        else { return nil }
        self.init(repository: reference.repository, manifest: digest)
    }

    public func encoded() throws(ArtifactError) -> [UInt8] {
        do {
            return Array(
                try JSONEncoder().encode(
                    Wire(host: repository.host, name: repository.name, manifest: manifest.description)))
        } catch {
            throw ArtifactError(.internal, "the origin of a layer cannot be written", cause: error)
        }
    }
}
