import Base
import Lab

/// A packer of stacks into layers of an image.
enum StackPacker {
    static func pack(_ stack: Stack) -> [ImageStore.Layer] {
        var random = SeededGenerator(seed: stack.packingSeed)
        return stack.layers.map { layer in
            if stack.form.hasTable, !stack.form.isConverted {
                let sizes = [4096, 10_000, 4 << 20]
                let size = sizes[Int.random(in: 0..<sizes.count, using: &random)]
                return TableWriter.layer(layer.entries, stack.form, chunkSize: size)
            }
            let archive = ArchiveWriter.archive(layer.entries, isTerminated: layer.isTerminated)
            return ImageStore.Layer(
                blob: layer.packing.pack(archive, &random), diffID: Digest.of(archive),
                mediaType: layer.packing.mediaType)
        }
    }
}
