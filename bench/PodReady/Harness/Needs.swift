import Base
public import Lab
import LayerIndex
import Linux

/// The reads of an application until it is ready: ranges of the layers' blobs, in the order of the requests.
///
/// The bench records them in one run of the pod. The node's daemon then fetches only what is read: no prefetch,
/// prediction, read-ahead, neighbors or fill. So each request on the link until ready is a run of chunks that a reader
/// waited for. This includes the kernel's own read-ahead within a file, because no file system can tell it from reads.
/// It does not include tables of contents and manifests.
public struct Needs: Sendable, Codable, Equatable {
    /// A piece of one layer.
    public struct Piece: Sendable, Equatable {
        /// The layer's index in ``Needs/layers``.
        public var layer: Int
        public var offset: UInt64
        public var count: UInt64
    }

    /// The digests of the layers' blobs.
    public private(set) var layers: [String]
    public private(set) var pieces: [Piece]

    public init(layers: [String] = [], pieces: [Piece] = []) {
        self.layers = layers
        self.pieces = pieces
    }

    /// The number of compressed bytes. No byte is in two pieces.
    public var bytes: UInt64 { pieces.reduce(0) { $0 + $1.count } }

    /// Adds the extents of a layer that `range` contains and that are not in a piece yet.
    mutating func add(_ range: ByteRange, of layer: String, _ chunks: ChunkTable) {
        let number = layers.firstIndex(of: layer) ?? layers.count
        if number == layers.count { layers.append(layer) }
        // The extents are in the order of their offsets.
        for index in 0..<chunks.extentCount {
            let blob = chunks.extent(index).blob
            guard range.contains(blob), !blob.isEmpty,
                !pieces.contains(where: {
                    $0.layer == number && blob.offset >= $0.offset && blob.end <= $0.offset + $0.count
                })
            else { continue }
            if let last = pieces.last, last.layer == number, last.offset + last.count == blob.offset {
                pieces[pieces.count - 1].count += blob.count
            } else {
                pieces.append(Piece(layer: number, offset: blob.offset, count: blob.count))
            }
        }
    }

    /// Runs the pod of `image` in `form` once and records its requests.
    public static func record(
        of image: ServedImage, _ form: ImageForm, in lab: Lab, progress: ProgressDisplay
    ) async throws -> Needs {
        progress.step("\(image.recipe.name): recording its needs")
        let options = """
            [streaming]
            prefetch = false
            predict = false
            read_ahead = false
            background_fill = false

            """
        return try await Node.with(
            "needs", in: lab, snapshotter: .rivulet(options: options), registry: image.registry,
            pauseArchive: image.pauseArchive
        ) { node in
            guard let daemon = node.daemon as? RivuletDaemon else { return Needs() }
            try await blocking { try PageCache.drop() }
            let setting = Setting(
                lab: lab, node: node, image: image, form: form, link: .unshaped, needs: nil, seconds: 600)
            let pod = try await setting.startPod()
            let ready = try await pod.waitUntilReady(image.recipe.probe, seconds: setting.seconds)
            let requests = node.relay.record.requests.filter { $0.at <= ready && $0.method == "GET" }
            let needs = try await blocking { try Needs(requests, root: daemon.root) }
            try await pod.remove()
            return needs
        }
    }

    /// Creates the needs from `requests` and the layers' tables in the daemon's directory `root`.
    private init(_ requests: [RelayRequest], root: String) throws(LabError) {
        self.init()
        let tables = try Self.tables(root)
        for request in requests {
            guard case .blob(let name) = request.kind, let range = request.range.flatMap(Self.range),
                let table = tables[name]
            else { continue }
            add(range, of: name, table)
        }
    }

    /// Returns the chunk tables of all layers in the daemon's directory `root`, by the digests of their blobs.
    private static func tables(_ root: String) throws(LabError) -> [String: ChunkTable] {
        var tables: [String: ChunkTable] = [:]
        do {
            for entry in try Sys.list(root + "/layers") {
                let directory = "\(root)/layers/\(entry.text)"
                guard let blob = try Files.text(directory + "/key").split(separator: " ").first else { continue }
                tables[String(blob)] = try ChunkTable(bytes: try Files.read(directory + "/chunks", limit: 1 << 30))
            }
        } catch {
            throw LabError(.files, "cannot read the layers in \(root)", cause: error)
        }
        return tables
    }

    /// Parses a range header of the form `bytes=a-b`, the only form in requests for chunks. Returns `nil` for any other
    /// form.
    private static func range(_ header: String) -> ByteRange? {
        guard header.hasPrefix("bytes=") else { return nil }
        let ends = header.dropFirst(6).split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count == 2, let first = UInt64(ends[0]), let last = UInt64(ends[1]), last >= first, last < .max
        else { return nil }
        return ByteRange(offset: first, end: last + 1)
    }
}

// The results file has a piece as three numbers.
extension Needs.Piece: Codable {
    public init(from decoder: any Decoder) throws {
        var values = try decoder.unkeyedContainer()
        layer = try values.decode(Int.self)
        offset = try values.decode(UInt64.self)
        count = try values.decode(UInt64.self)
    }

    public func encode(to encoder: any Encoder) throws {
        var values = encoder.unkeyedContainer()
        try values.encode(layer)
        try values.encode(offset)
        try values.encode(count)
    }
}
