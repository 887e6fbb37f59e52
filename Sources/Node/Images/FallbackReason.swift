/// The reason why containerd downloads a layer that was meant to be streamed.
public struct FallbackReason: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kinds of reasons. Each raw value is a value of the label `reason` of the metric `rivulet_fallback_total`, so
    /// the kinds must be few and fixed.
    public enum Code: String, Sendable, CaseIterable {
        /// A label of the request is malformed.
        case badLabel = "bad_label"
        /// The layer below is not streamed. All streamed layers of a chain are mounted as one merged tree, which can
        /// only be the lowest directory of an overlay.
        case parentNotRemote = "parent_not_remote"
        /// Nothing in the layer, its annotations or the registry makes it streamable.
        case notStreamable = "not_streamable"
        /// The layer's index is malformed or does not match the layer.
        case badIndex = "bad_index"
        /// No digest ties the index to the image.
        case unverified
        /// Manifest, configuration and labels contradict each other.
        case imageMismatch = "image_mismatch"
        /// The registry is not one of those that the configuration allows (``ImageOptions/registries``).
        case untrusted
        /// The registry requires credentials that this node does not have.
        case unauthorized
        /// The registry has no such image or blob.
        case notFound = "not_found"
        /// The registry cannot be reached, or its answers are malformed.
        case registry
        /// The registry's answer or the layer's index exceeded a limit, or creating the index took too much memory or
        /// time.
        case limit
        /// The local store failed, for example because the disk is full or unreadable.
        case storage
        /// The chain is not known on this node, so its merged tree cannot be mounted.
        case mount
        /// The layer was not ready within the configured time.
        case timeout
        /// Too many layers are being prepared, or memory is short.
        case busy
        /// A defect in Rivulet.
        case `internal`
    }

    public var code: Code
    /// The details, for the log.
    public var detail: String

    public init(_ code: Code, _ detail: String = "") {
        self.code = code
        self.detail = detail
    }

    public var description: String { detail.isEmpty ? code.rawValue : "\(code.rawValue): \(detail)" }
}
