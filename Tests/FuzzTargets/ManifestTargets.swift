import Base
import Conversion
import Registry

extension FuzzTarget {
    /// A manifest or an index, as a registry returns it for a manifest URL.
    static let manifest = FuzzTarget("FuzzManifest") { input in
        let bytes = Array(input)
        for contentType in [nil, MediaType.ociManifest, MediaType.dockerIndex] {
            guard let document = try? ManifestDocument(bytes: bytes, digest: .of(bytes), contentType: contentType)
            else { continue }
            precondition(document.digest == .of(bytes))
            switch document {
            case .image(let manifest):
                for layer in manifest.layers { _ = layer.packing }
            case .index(let index):
                guard let chosen = try? index.manifest(for: Platform(architecture: "arm", variant: "v7")) else {
                    continue
                }
                precondition(index.manifests.contains(chosen))
            }
        }
    }

    /// An image's configuration.
    static let imageConfiguration = FuzzTarget("FuzzImageConfiguration") { input in
        guard let configuration = try? ImageConfiguration(bytes: Array(input)) else { return }
        precondition((configuration.chainID == nil) == configuration.diffIDs.isEmpty)
    }

    /// The fallback tag's index of referrers. The changes of a client must survive a round trip.
    static let referrers = FuzzTarget("FuzzReferrers") { input in
        guard var index = try? ReferrersIndex(bytes: Array(input)) else { return }
        let digest = Digest.of([1])
        index.add(Descriptor(mediaType: MediaType.ociManifest, digest: digest, size: 7, artifactType: "a/b"))
        precondition(index.contains(digest))
        guard let encoded = try? index.encoded(), var again = try? ReferrersIndex(bytes: encoded) else {
            preconditionFailure("an index that cannot be read back")
        }
        precondition(again.contains(digest))
        again.remove(digest)
        precondition(!again.contains(digest))
    }

    /// A registry's notification of a push or deletion: events are bounded and name a repository.
    static let pushNotification = FuzzTarget("FuzzPushNotification") { input in
        guard let events = try? PushNotification.events(in: Array(input)) else { return }
        precondition(events.count <= 1000 && events.allSatisfy { !$0.repository.isEmpty && $0.tag != "" })
    }
}
