import Artifacts
import Base
import Lab
import LayerFormats
import LayerIndex
import Registry

/// A streaming artifact of an image with one layer. It is honest, or forged as an attacker would forge it.
struct ForgedArtifact {
    enum Lie {
        /// All content of files is marked as zeros, with the digest of zeros.
        case zeros
        /// All content of files is marked as zeros, with the digest of the real bytes.
        case falseZeros
        /// The content of each file is at its header.
        case places
    }

    let index: [UInt8]
    private let copy: [UInt8]?
    private let layer: ImageStore.Layer

    /// - Parameters:
    ///   - layer: the image's layer, a gzip stream.
    ///   - archive: the archive that the index describes.
    ///   - copy: a zstd frame of `archive` from which the layer is read; `nil` to read it from the layer's own blob.
    init(of layer: ImageStore.Layer, archive: [UInt8], copy: [UInt8]? = nil, lie: Lie? = nil) throws {
        self.layer = layer
        self.copy = copy
        let digest = Digest.of(layer.blob)
        let source = copy ?? layer.blob
        var builder = LayerIndexBuilder(
            layer: digest, blobDigest: Digest.of(source), blobSize: UInt64(source.count))
        let extent = try builder.addExtent(
            ByteRange(offset: 0, end: UInt64(source.count)), codec: copy == nil ? .gzip : .zstd)
        for entry in try Self.entries(of: archive, in: extent, lie) { try builder.add(entry) }
        index = try LayerIndexBlob.encode(try builder.finish(), blobDigest: digest, diffID: layer.diffID)
    }

    /// Returns the entries of `archive`, with their content in one piece each, changed by `lie`.
    private static func entries(of archive: [UInt8], in extent: UInt32, _ lie: Lie?) throws -> [LayerEntry] {
        var reader = TarReader()
        var entries: [LayerEntry] = []
        try archive.withUnsafeBytes { bytes in
            try reader.push(bytes) { (event, offset) throws(LayerFormatError) in
                switch event {
                case .entry(let entry, _): entries.append(entry)
                case .content(let content):
                    let place = Int(offset) - (lie == .places ? 512 : 0)
                    let real = UnsafeRawBufferPointer(rebasing: bytes[place..<place + content.count])
                    entries[entries.count - 1].pieces.append(
                        ContentPiece(
                            fileOffset: 0, length: UInt64(content.count),
                            digest: lie == .zeros
                                ? Digest.of([UInt8](repeating: 0, count: content.count)) : Digest.of(real),
                            extent: extent, innerOffset: UInt64(place), isZeros: lie == .zeros || lie == .falseZeros))
                case .hole, .end: break
                }
            }
        }
        return entries
    }

    /// Publishes the artifact beside the image with the manifest `manifest`.
    func publish(of manifest: Digest, in store: ImageStore, to repository: String) throws {
        func blob(_ bytes: [UInt8], _ mediaType: String) throws -> Descriptor {
            Descriptor(
                mediaType: mediaType, digest: try store.writeBlob(bytes, to: repository), size: UInt64(bytes.count))
        }
        _ = try blob(StreamingArtifact.emptyConfig, MediaType.ociEmpty)
        let artifact = StreamingArtifact(
            subject: Descriptor(mediaType: MediaType.ociManifest, digest: manifest, size: 1),
            layers: [
                StreamingArtifact.Layer(
                    blob: Digest.of(layer.blob), diffID: layer.diffID,
                    index: try blob(index, StreamingArtifact.layerIndexType),
                    copy: try copy.map { try blob($0, StreamingArtifact.layerCopyType) })
            ])
        let bytes = try artifact.encoded()
        try store.writeReferrer(
            bytes, artifactType: StreamingArtifact.artifactType,
            annotations: artifact.descriptor(of: bytes).annotations,
            of: manifest, to: repository)
    }
}
