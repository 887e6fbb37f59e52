import Base
import Registry

/// A descriptor as it is written into manifests and indexes (OCI image-spec descriptor.md).
struct WireDescriptor: Encodable {
    let mediaType: String
    let digest: String
    let size: UInt64
    var annotations: [String: String]?
    var data: String?
    var platform: Platform?

    init(
        _ descriptor: Descriptor, annotations: [String: String]? = nil, data: String? = nil, platform: Platform? = nil
    ) {
        mediaType = descriptor.mediaType
        digest = descriptor.digest.description
        size = descriptor.size
        self.annotations = annotations
        self.data = data
        self.platform = platform
    }
}
