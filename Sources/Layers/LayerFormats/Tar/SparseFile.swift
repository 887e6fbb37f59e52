import Base

/// The segments of a sparse file, and a position in the file.
///
/// The file's pax header contains a map of the segments, or says that the map is in front of the data (GNU tar manual,
/// "Storing Sparse Files", formats 0.0, 0.1 and 1.0). The interpretation follows Go's archive/tar.
struct SparseFile {
    /// A part of the file with data. The rest of the file is zeros.
    struct Segment: Equatable {
        var offset: UInt64
        var count: UInt64
    }

    /// The segments in the order of the file; `nil` until the map in front of the data has been read.
    private(set) var segments: [Segment]?
    let size: UInt64
    private let maximumCount: Int
    /// The digits read so far of the next number of the map in front of the data.
    private var text: [UInt8] = []
    /// The number of segments, which is the first number of the map in front of the data; `nil` until that number has
    /// been read.
    private var count: Int?
    /// The later numbers of the map in front of the data: alternating offsets and lengths.
    private var values: [UInt64] = []
    private var index = 0
    /// The number of bytes of the file before the current position.
    private var position: UInt64 = 0

    /// - Parameters:
    ///   - map: alternating offsets and lengths; `nil` if the map is in front of the data.
    ///   - size: the size of the file in bytes.
    ///   - maximumCount: the maximum number of segments.
    init(map: [UInt64]?, size: UInt64, maximumCount: Int) throws(LayerFormatError) {
        self.size = size
        self.maximumCount = maximumCount
        if let map { segments = try segments(map) }
    }

    private func segments(_ map: [UInt64]) throws(LayerFormatError) -> [Segment] {
        guard map.count % 2 == 0 else { throw Self.damaged("a map with an odd number of values") }
        guard map.count / 2 <= maximumCount else {
            throw LayerFormatError(.limit, "a sparse file of more than \(maximumCount) parts")
        }
        var segments: [Segment] = []
        var end: UInt64 = 0
        for index in stride(from: 0, to: map.count, by: 2) {
            let (offset, count) = (map[index], map[index + 1])
            guard offset >= end, offset <= size, count <= size - offset else {
                throw Self.damaged("a part outside the file or within another part")
            }
            end = offset + count
            segments.append(Segment(offset: offset, count: count))
        }
        return segments
    }

    /// Reads the next block of the map in front of the data. The map is a list of decimal numbers, each followed by a
    /// newline. The first number is the number of segments.
    mutating func readMap(_ block: UnsafeRawBufferPointer) throws(LayerFormatError) {
        for byte in block {
            guard byte == 0x0A else {
                text.append(byte)
                guard text.count <= 20 else { throw Self.damaged("a map with a number that is none") }
                continue
            }
            guard let value = text.withUnsafeBytes({ PaxRecords.decimal($0) }) else {
                throw Self.damaged("a map with a number that is none")
            }
            text.removeAll(keepingCapacity: true)
            guard let count else {
                guard value <= UInt64(maximumCount) else {
                    throw LayerFormatError(.limit, "a sparse file of more than \(maximumCount) parts")
                }
                count = Int(value)
                if value == 0 { break }
                continue
            }
            values.append(value)
            if values.count == 2 * count { break }
        }
        guard let count, values.count == 2 * count else { return }
        segments = try segments(values)
        values = []
    }

    /// A part of the file that starts at the current position.
    enum Part: Equatable {
        /// This many zero bytes, which the archive does not contain.
        case hole(UInt64)
        /// Data of this many bytes.
        case data(UInt64)
        case end
    }

    /// Returns the part at the current position. Call ``advance(_:)`` to move the position.
    func next() -> Part {
        guard let segments else { return .end }
        guard index < segments.count else { return position < size ? .hole(size - position) : .end }
        let segment = segments[index]
        if position < segment.offset { return .hole(segment.offset - position) }
        return .data(segment.offset + segment.count - position)
    }

    mutating func advance(_ count: UInt64) {
        position += count
        while let segments, index < segments.count, position >= segments[index].offset + segments[index].count {
            index += 1
        }
    }

    static func damaged(_ what: String) -> LayerFormatError {
        LayerFormatError(.badArchive, "a sparse file with \(what)")
    }
}
