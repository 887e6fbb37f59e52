import Base
import Registry
import TestRegistry
import Testing

struct ManifestTests {
    @Test("fetches an image by digest and by tag") func fetchesImageByDigestAndByTag() async throws {
        try await TestRegistry.withRegistry { registry in
            let image = registry.addImage(
                repository: "test/app", tag: "v1",
                layers: [TestLayer(pattern(100), annotations: ["a": "b"]), TestLayer(pattern(200, seed: 2))])
            try await withClient { client in
                let repository = Repository(host: registry.host, name: "test/app")
                let manifest = try await client.manifest(repository, digest: image.manifestDigest)
                #expect(manifest.layers.map(\.digest) == image.layerDigests)
                #expect(manifest.layers.map(\.size) == [100, 200])
                #expect(manifest.layers[0].annotations == ["a": "b"])
                #expect(manifest.layers[0].packing == .gzip)
                #expect(client.requestCount == 1)
                let resolved = try await client.resolve(try ImageReference(parsing: image.reference))
                #expect(resolved.manifest == manifest)
                #expect(resolved.digest == image.manifestDigest)
                #expect(resolved.index == nil)
                let config = try await client.blob(
                    BlobLocation(repository: repository, digest: manifest.config.digest), maximumSize: 1 << 20)
                #expect(UInt64(config.count) == manifest.config.size)
            }
        }
    }
}
