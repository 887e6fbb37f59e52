public import Lab

/// A line of a results file: an image's needs, and its start times when it is local. Measured once for each image
/// before the blocks; the floor of every sample derives from it.
public struct NeedsRecord: Sendable, Codable, Equatable {
    public var record = "needs"
    public var image: String
    public var edition: String
    /// The compressed bytes that the application reads until it is ready.
    public var neededBytes: UInt64
    /// The compressed bytes of the whole image, in the form of the needs.
    public var totalBytes: UInt64
    /// The seconds of each start with all of the image local.
    public var local: [Double]
    public var needs: Needs

    public init(
        image: String, edition: String, totalBytes: UInt64, local: [Double], needs: Needs
    ) {
        self.image = image
        self.edition = edition
        neededBytes = needs.bytes
        self.totalBytes = totalBytes
        self.local = local
        self.needs = needs
    }

    enum CodingKeys: String, CodingKey {
        case record, image, edition, needs
        case neededBytes = "needed_bytes"
        case totalBytes = "bytes_total"
        case local = "local_s"
    }

    /// Returns the least time in which the application can be ready over `link`: the median of the local starts, the
    /// needed bytes at the link's rate, and two round trips. It excludes a store's delay before the first byte.
    public func floor(over link: Link) -> Double? {
        Statistics.median(local).map { $0 + link.shape.seconds(for: neededBytes) + 2 * link.shape.roundTrip }
    }
}
