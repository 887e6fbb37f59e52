import Codecs
import LayerFormats
import LayerIndex
import TestSupport

extension FuzzTarget {
    /// A layer index as a registry stores it. If the first byte is odd, the bytes after it are the blob. Otherwise the
    /// input has two 16-bit numbers, the sizes for the header, and then the text of the zstd frame. The target adds a
    /// valid header.
    static let layerIndexBlob = FuzzTarget("FuzzLayerIndexBlob") { input in
        guard let blob = try? LayerIndexBlob(bytes: bytes(input)) else { return }
        if let table = try? ChunkTable(bytes: blob.index.chunks) { FuzzSupport.walk(table) }
        if let tree = try? TreeImage(bytes: blob.index.tree) { FuzzSupport.walk(tree) }
    }

    private static func bytes(_ input: UnsafeRawBufferPointer) -> [UInt8] {
        guard let kind = input.first, kind & 1 == 0, input.count >= 5 else { return Array(input.dropFirst()) }
        let tree = UInt64(input[1]) | UInt64(input[2]) << 8
        let chunks = UInt64(input[3]) | UInt64(input[4]) << 8
        var bytes = Array("RIVINDEX".utf8) + [1, 0, 0, 0, 0, 0, 0, 0]
        for number in [tree, chunks] {
            for shift in stride(from: UInt64(0), to: 64, by: 8) {
                bytes.append(UInt8(truncatingIfNeeded: number >> shift))
            }
        }
        bytes += [UInt8](repeating: 7, count: 64)
        return bytes + Compressed.zstd(Array(input.dropFirst(5)), level: 1)
    }
}
