package import Base
import FoundationEssentials

/// The fallback index of an image. If a registry lacks the referrers API, clients keep the list of the image's
/// referrers in this index. The referrers are the manifests that refer to the image. The tag of the index is the
/// fallback tag (OCI distribution-spec 1.1, "Referrers Tag Schema").
package struct ReferrersIndex {
    /// Returns the fallback tag for the image with the digest `subject`.
    static func tag(_ subject: Digest) -> String { "sha256-\(subject.hex)" }

    private var document: [String: JSONValue]
    private var manifests: [JSONValue]

    /// Creates an empty index.
    init() {
        document = ["schemaVersion": .integer(2), "mediaType": .string(MediaType.ociIndex)]
        manifests = []
    }

    /// Decodes an index and keeps all its fields, including those that we do not know.
    package init(bytes: [UInt8]) throws(RegistryError) {
        do {
            document = try JSONDecoder().decode([String: JSONValue].self, from: Data(bytes))
        } catch {
            throw RegistryError(.invalidManifest, "cannot decode the index of referrers", cause: error)
        }
        guard case .array(let manifests) = document["manifests"] else {
            throw RegistryError(.invalidManifest, "the index of referrers has no manifests")
        }
        self.manifests = manifests
    }

    /// Returns true if the index lists `digest`.
    package func contains(_ digest: Digest) -> Bool {
        manifests.contains { Self.digest($0) == digest.description }
    }

    /// Adds `descriptor` unless the index already lists its digest. The method sorts the entries by digest, so that the
    /// bytes do not depend on the order of the additions.
    package mutating func add(_ descriptor: Descriptor) {
        guard !contains(descriptor.digest) else { return }
        var entry: [String: JSONValue] = [
            "mediaType": .string(descriptor.mediaType), "digest": .string(descriptor.digest.description),
            "size": .integer(Int64(clamping: descriptor.size)),
        ]
        if let type = descriptor.artifactType { entry["artifactType"] = .string(type) }
        if !descriptor.annotations.isEmpty {
            entry["annotations"] = .object(descriptor.annotations.mapValues { .string($0) })
        }
        manifests.append(.object(entry))
        manifests.sort { (Self.digest($0) ?? "") < (Self.digest($1) ?? "") }
    }

    /// Removes every entry for `digest`.
    package mutating func remove(_ digest: Digest) {
        manifests.removeAll { Self.digest($0) == digest.description }
    }

    /// Returns the index as JSON.
    package func encoded() throws(RegistryError) -> [UInt8] {
        var document = document
        document["manifests"] = .array(manifests)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return Array(try encoder.encode(document))
        } catch {
            throw RegistryError(.invalidManifest, "cannot encode the index of referrers", cause: error)
        }
    }

    private static func digest(_ entry: JSONValue) -> String? {
        guard case .object(let fields) = entry, case .string(let digest) = fields["digest"] else { return nil }
        return digest
    }
}
