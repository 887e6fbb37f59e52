public import Base
public import Lab

/// The mode that shows the limit of streaming. One connection fetches exactly the bytes that the application needs, in
/// the order of need. Then the pod starts from the local image.
///
/// All requests are sent ahead of their responses, so there is one round trip in total. After that, only the link's
/// rate counts. A real implementation can overlap some of the transfer with the application's own work. This mode
/// overlaps nothing.
public struct StreamMode: Mode {
    public let name = "stream"
    public let form = ImageForm.plain
    /// The number of requests in flight.
    private static let ahead = 128

    public init() {}

    public func snapshotter(_ programs: Programs) throws(LabError) -> Node.Snapshotter { .overlayfs }

    public func prepare(_ setting: Setting) async throws {
        try await LocalMode().prepare(setting)
    }

    public func lead(_ setting: Setting) async throws {
        guard let needs = setting.needs else {
            throw LabError(.usage, "the needs of \(setting.image.recipe.name) are unknown")
        }
        let (port, repository) = (setting.node.relay.port, setting.image.recipe.repository)
        try await blocking { try Self.fetch(needs, of: repository, port: port) }
    }

    private static func fetch(_ needs: Needs, of repository: String, port: Int) throws(LabError) {
        let requests = needs.pieces.map { piece in
            PlainHTTP.request(
                "/v2/\(repository)/blobs/\(needs.layers[piece.layer])",
                range: ByteRange(offset: piece.offset, end: piece.offset + piece.count))
        }
        var connection = try PlainHTTP(port: port)
        try connection.send(requests.prefix(ahead).joined())
        for (index, piece) in needs.pieces.enumerated() {
            let head = try connection.head()
            guard head.status == 206, head.length == piece.count else {
                throw LabError(.failed, "the registry answers \(head.status) to a range of \(piece.count) bytes")
            }
            try connection.read(piece.count)
            if index + ahead < requests.count { try connection.send(requests[index + ahead]) }
        }
    }
}
