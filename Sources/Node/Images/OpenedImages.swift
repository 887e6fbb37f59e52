import Base
import Concurrency
import Registry

/// The images that are being opened or were opened lately.
///
/// containerd asks for one layer after the other, and the first request does the work for all of them. A declined image
/// is remembered for a short time only, so that one failure of a registry does not disable streaming.
struct OpenedImages: Sendable {
    /// An image as a client names it.
    struct Key: Hashable, Sendable {
        let reference: ImageReference
        let manifest: Digest?
        /// The requested layer if the client named no manifest, because the labels then describe only this layer; `nil`
        /// otherwise.
        let layer: Digest?

        init(_ reference: ImageReference, _ request: RemoteLayerRequest) {
            self.reference = reference
            manifest = request.manifestDigest
            layer = request.manifestDigest == nil ? request.layerDigest : nil
        }
    }

    /// The outcome of an opening.
    typealias Opened = OneShot<Result<OpenedImage, FallbackReason>>

    private struct Entry {
        let opened: Opened
        var end: MonotonicTime
    }

    /// The most images in memory. The image that expires first is evicted. An entry takes a few kilobytes.
    static let maximumImages = 512

    private var entries: [Key: Entry] = [:]
    private let remembersFor: Duration
    private let remembersDeclinedFor: Duration

    init(remembersFor: Duration, remembersDeclinedFor: Duration) {
        self.remembersFor = remembersFor
        self.remembersDeclinedFor = remembersDeclinedFor
    }

    /// Returns the opening of the image, and true if the caller has to perform it.
    mutating func opened(_ key: Key, at now: MonotonicTime) -> (opened: Opened, isNew: Bool) {
        if let entry = entries[key], entry.end > now { return (entry.opened, false) }
        entries = entries.filter { $0.value.end > now }
        if entries.count >= Self.maximumImages, let oldest = entries.min(by: { $0.value.end < $1.value.end }) {
            entries[oldest.key] = nil
        }
        let opened = Opened()
        entries[key] = Entry(opened: opened, end: now.advanced(by: remembersFor))
        return (opened, true)
    }

    /// Shortens the life of an image that is not streamed completely.
    mutating func decline(_ key: Key, opened: Opened, at now: MonotonicTime) {
        let soon = now.advanced(by: remembersDeclinedFor)
        guard let entry = entries[key], entry.opened === opened, entry.end > soon else { return }
        entries[key]?.end = soon
    }
}
