import Base
import Lab
import LayerFormats
import LayerIndex

/// The check that Rivulet's verification accepts a layer that is right.
///
/// A verification that finds a difference where there is none would refuse a good layer on every node.
enum IndexCheck {
    /// Indexes the layer as a node or the converter does, and compares the index with the layer's archive. Returns the
    /// first difference; `nil` if there is none, or if the layer cannot be indexed.
    static func difference(_ layer: ImageStore.Layer) throws -> String? {
        let digest = Digest.of(layer.blob)
        let description = LayerDescription(
            digest: digest, size: UInt64(layer.blob.count), mediaType: layer.mediaType,
            annotations: layer.annotations)
        let isFromTable = LayerFormatRegistry.standard.format(of: description) != nil
        let index: LayerIndexBytes
        do {
            index = try isFromTable ? tableIndex(description, layer.blob) : archiveIndex(digest, layer.blob)
        } catch {
            // The comparison of the mounts reports layers that should be streamed and are not.
            return nil
        }
        let finding: ArchiveCheck.Finding
        do {
            let check = ArchiveCheck(
                tree: try TreeImage(bytes: index.tree), chunks: try ChunkTable(bytes: index.chunks),
                isFromTable: isFromTable)
            let decoder = ArchiveDecoder()
            try layer.blob.withUnsafeBytes { bytes in
                try decoder.push(bytes) { (made) throws(LayerFormatError) in try check.push(made) }
            }
            try decoder.finish { (made) throws(LayerFormatError) in try check.push(made) }
            finding = try check.finish()
        } catch {
            return "verification fails: \(error)"
        }
        if let difference = finding.difference { return "verification: \(difference)" }
        return finding.diffID == layer.diffID ? nil : "verification: the diff ID is \(finding.diffID)"
    }

    private static func tableIndex(_ layer: LayerDescription, _ blob: [UInt8]) throws -> LayerIndexBytes {
        var opener = try LayerFormatRegistry.standard.opener(for: layer, options: LayerOpenOptions())
        let size = UInt64(blob.count)
        while true {
            switch try opener.next() {
            case .done(let index): return index
            case .readCompanion: throw LayerFormatError(.unsupported, "no companion here")
            case .read(let request):
                let range =
                    switch request {
                    case .suffix(let count): ByteRange(offset: size - min(count, size), end: size)
                    case .range(let range): range
                    }
                try opener.receive(
                    Array(blob[Int(range.offset)..<Int(range.end)]), range: range, blobSize: size)
            }
        }
    }

    private static func archiveIndex(_ digest: Digest, _ blob: [UInt8]) throws -> LayerIndexBytes {
        let indexer = LayerIndexer(blobDigest: digest, blobSize: UInt64(blob.count))
        try blob.withUnsafeBytes { try indexer.push($0) }
        return try indexer.finish().index
    }
}
