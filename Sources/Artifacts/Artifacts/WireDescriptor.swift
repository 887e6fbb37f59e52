import Base
package import Registry

/// The JSON form of a descriptor in manifests and indexes (OCI image-spec descriptor.md).
package struct WireDescriptor: Encodable {
    package let mediaType: String
    package let digest: String
    package let size: UInt64
    package var annotations: [String: String]?
    package var data: String?
    package var platform: Platform?

    package init(
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
