import Base
import Concurrency
import ContentStore
import Registry

/// The images that are being opened or were opened recently.
///
/// containerd requests one layer after the other. The request for the first layer opens all layers of the image. If the
/// image fails or a layer is declined, the result stays in memory only for a short time. So one failure of a registry
/// does not disable streaming.
struct OpenedImages: Sendable {
    /// The identity of an image, as containerd's request describes it.
    struct Key: Hashable, Sendable {
        let reference: ImageReference
        let manifest: Digest?
        /// The namespace in which containerd pulls the image; `nil` if it is unknown.
        let namespace: String?
        /// The digest of the requested layer, if the request names no manifest; `nil` otherwise. Without a manifest,
        /// the labels may describe only this layer.
        let layer: Digest?

        init(_ reference: ImageReference, _ request: RemoteLayerRequest) {
            self.reference = reference
            manifest = request.manifestDigest
            namespace = request.namespace
            layer = request.manifestDigest == nil ? request.layerDigest : nil
        }
    }

    /// The result of opening an image. Several requests may wait for it.
    typealias Opened = OneShot<Result<OpenedImage, FallbackReason>>

    private struct Entry {
        let opened: Opened
        var end: MonotonicTime
    }

    /// The maximum number of images in memory, which take a few kilobytes each. To make room for another image,
    /// ``opened(_:at:)`` evicts the image that would expire first.
    static let maximumImages = 512

    private var entries: [Key: Entry] = [:]
    private let remembersFor: Duration
    private let remembersDeclinedFor: Duration

    init(remembersFor: Duration, remembersDeclinedFor: Duration) {
        self.remembersFor = remembersFor
        self.remembersDeclinedFor = remembersDeclinedFor
    }

    /// Returns the pending or finished result of opening the image. `isNew` is true if the caller has to open the
    /// image.
    mutating func opened(_ key: Key, at now: MonotonicTime) -> (opened: Opened, isNew: Bool) {
        if let entry = entries[key], entry.end > now { return (entry.opened, false) }
        expire(at: now)
        if entries.count >= Self.maximumImages, let oldest = entries.min(by: { $0.value.end < $1.value.end }) {
            entries[oldest.key] = nil
        }
        let opened = Opened()
        entries[key] = Entry(opened: opened, end: now.advanced(by: remembersFor))
        return (opened, true)
    }

    /// True if no image is in memory.
    var isEmpty: Bool { entries.isEmpty }

    /// Returns true if an image in memory has the layer, or may have it because the image is still being opened.
    func mayHave(_ layer: LayerKey) -> Bool {
        entries.values.contains { entry in
            guard let result = entry.opened.current else { return true }
            return (try? result.get())?.layers.contains { (try? $0.content.get().key) == layer } ?? false
        }
    }

    /// Forgets the images whose time is over.
    mutating func expire(at now: MonotonicTime) {
        entries = entries.filter { $0.value.end > now }
    }

    /// Shortens the time for which an image with a failed or declined layer is remembered. Does nothing if a later
    /// attempt to open the image has replaced `opened`.
    mutating func decline(_ key: Key, opened: Opened, at now: MonotonicTime) {
        let soon = now.advanced(by: remembersDeclinedFor)
        guard let entry = entries[key], entry.opened === opened, entry.end > soon else { return }
        entries[key]?.end = soon
    }
}
