import Base
import Lab

/// A packer of stacks into layers of an image.
enum StackPacker {
    static func pack(_ stack: Stack) -> [ImageStore.Layer] {
        var random = SeededGenerator(seed: stack.packingSeed)
        return stack.layers.map { layer in
            let archive = ArchiveWriter.archive(layer.entries, isTerminated: layer.isTerminated)
            return ImageStore.Layer(
                blob: layer.packing.pack(archive, &random), diffID: Digest.of(archive),
                mediaType: layer.packing.mediaType)
        }
    }
}
