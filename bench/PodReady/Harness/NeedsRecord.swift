public import Lab

/// A line of a results file with an image's needs, and the times of its starts from local content.
///
/// The bench measures them once for each image, before the blocks. The floor of every sample derives from them.
public struct NeedsRecord: Sendable, Codable, Equatable {
    public var record = "needs"
    public var image: String
    public var edition: String
    /// The compressed bytes that the application reads until it is ready.
    public var neededBytes: UInt64
    /// The compressed bytes of the whole image, in the form of the needs.
    public var totalBytes: UInt64
    /// The duration of each start with the whole image local, in seconds.
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

    /// Returns the shortest time in which the application can be ready over `link`, in seconds.
    ///
    /// The time is the median of the local starts, plus the needed bytes at the link's rate, plus two round trips. It
    /// excludes a store's delay before the first byte. Returns `nil` if there are no local starts.
    public func floor(over link: Link) -> Double? {
        Statistics.median(local).map { $0 + link.shape.seconds(for: neededBytes) + 2 * link.shape.roundTrip }
    }
}
