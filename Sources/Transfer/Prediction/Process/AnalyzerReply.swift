import Base

/// A packet from the analyzer to its client, a ``Predictor``. The answer to a command consists of any number of
/// ``runs(start:_:)``, ``waits(start:_:)`` and ``order(start:_:)`` packets, and then ``done(start:)``. In these
/// packets, `start` is the number of the container start, as in the command.
public enum AnalyzerReply: Equatable, Sendable {
    /// The first packet of a process that is confined and waits for commands.
    case ready
    /// The first packet of a process that could not be confined, with the errno of the failure.
    case unconfined(Int32)
    /// Ranges of layer content that the container start is likely to read.
    case runs(start: UInt32, [StartPrediction.Run])
    /// Ranges of layer content that the analyzer waits for. The client reports their arrival with
    /// ``AnalyzerCommand/present(start:_:)``.
    case waits(start: UInt32, [StartPrediction.Wait])
    /// The inode numbers of the files in the order of their expected use.
    case order(start: UInt32, [UInt64])
    /// The end of the answer to a command.
    case done(start: UInt32)

    /// The bytes of the packet.
    public var encoded: [UInt8] {
        switch self {
        case .ready: AnalyzerPacket.writing(1, of: 0)
        case .unconfined(let code):
            AnalyzerPacket.writing(2, of: 0) { $0.appendLittleEndian(UInt32(truncatingIfNeeded: code)) }
        case .runs(let start, let runs):
            AnalyzerPacket.writing(3, of: start) { bytes in
                bytes.append(list: runs) { bytes, run in
                    bytes.appendLittleEndian(UInt16(truncatingIfNeeded: run.layer))
                    bytes.append(run.content)
                    bytes.appendLittleEndian(run.inode)
                }
            }
        case .waits(let start, let waits):
            AnalyzerPacket.writing(4, of: start) { bytes in
                bytes.append(list: waits) { bytes, wait in
                    bytes.appendLittleEndian(wait.token)
                    bytes.appendLittleEndian(UInt16(truncatingIfNeeded: wait.layer))
                    bytes.append(wait.content)
                }
            }
        case .order(let start, let inodes):
            AnalyzerPacket.writing(5, of: start) { $0.append(list: inodes) { $0.appendLittleEndian($1) } }
        case .done(let start): AnalyzerPacket.writing(6, of: start)
        }
    }

    /// Decodes a packet.
    public init(decoding bytes: ArraySlice<UInt8>) throws(MalformedPacket) {
        var reader = AnalyzerPacket.Reader(bytes)
        let kind = try reader.integer(UInt8.self)
        let start = try reader.integer(UInt32.self)
        switch kind {
        case 1: self = .ready
        case 2: self = .unconfined(Int32(truncatingIfNeeded: try reader.integer(UInt32.self)))
        case 3:
            self = .runs(
                start: start,
                try reader.list { (reader) throws(MalformedPacket) in
                    StartPrediction.Run(
                        layer: Int(try reader.integer(UInt16.self)), content: try reader.range(),
                        inode: try reader.integer())
                })
        case 4:
            self = .waits(
                start: start,
                try reader.list { (reader) throws(MalformedPacket) in
                    StartPrediction.Wait(
                        token: try reader.integer(), layer: Int(try reader.integer(UInt16.self)),
                        content: try reader.range())
                })
        case 5:
            self = .order(
                start: start, try reader.list { (reader) throws(MalformedPacket) in try reader.integer(UInt64.self) })
        case 6: self = .done(start: start)
        default: throw MalformedPacket()
        }
        try reader.end()
    }
}
