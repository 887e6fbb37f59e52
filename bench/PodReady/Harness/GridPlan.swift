public import Lab

/// Which samples are taken, and in which order: randomised complete blocks.
///
/// A block has every image on every network in every mode once. Within it the images come in random order, the networks of
/// an image too, and then the modes, so that the modes of one image on one network follow each other within minutes
/// and can be compared in pairs: whatever drifts, drifts for all of them.
public struct GridPlan: Sendable, Codable, Equatable {
    public var images: [String]
    public var edition: ImageEdition
    public var networks: [String]
    public var modes: [String]
    public var blocks: Int
    public var seed: UInt64
    /// Whether each sample waits until all of the image is local.
    public var complete: Bool

    public init(
        images: [String], edition: ImageEdition, networks: [String], modes: [String], blocks: Int, seed: UInt64,
        complete: Bool
    ) {
        self.images = images
        self.edition = edition
        self.networks = networks
        self.modes = modes
        self.blocks = blocks
        self.seed = seed
        self.complete = complete
    }

    /// The samples of one block in their order. It depends on the seed and the block's number alone, so that an interrupted
    /// run goes on in the same order.
    public func samples(ofBlock block: Int) -> [SampleRecord.Key] {
        var generator = SeededGenerator(seed: seed &+ UInt64(truncatingIfNeeded: block) &* 0x1_0000_0001)
        return images.shuffled(using: &generator).flatMap { image in
            networks.shuffled(using: &generator).flatMap { network in
                modes.shuffled(using: &generator).map { mode in
                    SampleRecord.Key(
                        image: image, edition: edition.rawValue, network: network, mode: mode, block: block)
                }
            }
        }
    }

    /// All samples of all blocks, one block after the other.
    public var samples: [SampleRecord.Key] {
        (0..<blocks).flatMap { samples(ofBlock: $0) }
    }
}
