public import Lab

/// The samples of a grid and their order, in randomized complete blocks.
///
/// A block contains every image on every network in every mode once. The order of images is random, and so is that of
/// an image's networks, and then of modes. So the modes of one image on one network follow each other within minutes.
/// They can be compared in pairs, because a drift affects all of them.
public struct GridPlan: Sendable, Codable, Equatable {
    public var images: [String]
    public var edition: ImageEdition
    public var networks: [String]
    public var modes: [String]
    public var blocks: Int
    public var seed: UInt64
    /// True if each sample waits until the whole image is local.
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

    /// Returns the samples of one block in order.
    ///
    /// The order depends only on the seed and the block's number, so an interrupted run resumes in the same order.
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

    /// All samples of all blocks, block by block.
    public var samples: [SampleRecord.Key] {
        (0..<blocks).flatMap { samples(ofBlock: $0) }
    }
}
