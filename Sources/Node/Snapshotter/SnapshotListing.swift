import NodeDatabase

/// The state of a `List` call between its frames. A frame is one message of the answer.
struct SnapshotListing: Sendable {
    /// The number of records in a full frame, as in containerd's own service.
    static let frameSize = 100
    /// The number of database rows after which a frame ends, even if the frame is not full. This limit keeps a filter
    /// with few matches from blocking other requests.
    static let mostRows = 2000

    private var filter: SnapshotFilter
    private let refs: [String]?
    private var last: Int64 = 0
    private(set) var isAtEnd = false

    init(filter: SnapshotFilter) {
        self.filter = filter
        refs = filter.requiredRefs
    }

    /// Returns the matching records for the next frame. A frame may be short or empty even if more records follow.
    mutating func nextFrame(from records: SnapshotRecords) throws -> [SnapshotRecord] {
        var frame: [SnapshotRecord] = []
        var rows = 0
        while frame.count < Self.frameSize, rows < Self.mostRows, !isAtEnd {
            let wanted = Self.frameSize - frame.count
            let page = try records.page(after: last, limit: wanted, refs: refs)
            rows += page.count
            if page.count < wanted { isAtEnd = true }
            if let lastRecord = page.last { last = lastRecord.id }
            for record in page where try filter.matches(record) { frame.append(record) }
        }
        return frame
    }
}
