import Base
import FoundationEssentials
import Lab

/// The contents of an image, as the registry describes them.
public struct ImageManifest: Sendable {
    /// A blob of the image.
    public struct Blob: Sendable, Hashable, Decodable {
        public let digest: String
        public let size: UInt64
    }

    public let config: Blob
    /// The layers' blobs, bottom first.
    public let layers: [Blob]

    /// The compressed size of all layers in bytes. A blob that occurs twice is counted once.
    public var size: UInt64 { Set(layers).reduce(0) { $0 + $1.size } }

    private init(config: Blob, layers: [Blob]) {
        self.config = config
        self.layers = layers
    }

    /// Fetches the manifest of `tag` in `repository` from the registry at `port`. Blocks.
    init(repository: String, tag: String, port: Int) throws(LabError) {
        try self.init(repository: repository, reference: tag, port: port, depth: 0)
    }

    private init(repository: String, reference: String, port: Int, depth: Int) throws(LabError) {
        let types = [
            "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json",
            "application/vnd.docker.distribution.manifest.v2+json",
            "application/vnd.docker.distribution.manifest.list.v2+json",
        ]
        let bytes = try PlainHTTP.get(
            "/v2/\(repository)/manifests/\(reference)", port: port, headers: types.map { "Accept: \($0)" })
        let document: Document
        do {
            document = try JSONDecoder().decode(Document.self, from: Data(bytes))
        } catch {
            throw LabError(.failed, "cannot decode the manifest of \(repository):\(reference)", cause: error)
        }
        if let config = document.config, let layers = document.layers {
            self = ImageManifest(config: config, layers: layers)
            return
        }
        // The document is an index. All our images have one platform.
        guard let entry = document.manifests?.first, depth < 2 else {
            throw LabError(.failed, "\(repository):\(reference) names no image")
        }
        try self.init(repository: repository, reference: entry.digest, port: port, depth: depth + 1)
    }

    private struct Document: Decodable {
        var config: Blob?
        var layers: [Blob]?
        var manifests: [Blob]?
    }
}
