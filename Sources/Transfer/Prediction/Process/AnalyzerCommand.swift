import Base

/// A packet from the client, a ``Predictor``, to the analyzer. In each packet, `start` is the number of a container
/// start. The client chooses this number.
public enum AnalyzerCommand: Equatable, Sendable {
    /// The beginning of a container start. The packet carries an open file descriptor of the merged tree, whose size in
    /// bytes is `treeSize`. For `speculates`, see ``StartPrediction/speculates``. One
    /// ``layer(start:extentsSpanFiles:)`` packet for each layer follows. The analyzer does not answer.
    case begin(start: UInt32, layers: Int, treeSize: UInt64, speculates: Bool)
    /// One layer of the image whose container starts. The client sends these packets in the order of the layers, the
    /// bottom layer first. `extentsSpanFiles` is true if one extent of the layer may hold several files. The packet
    /// carries an open file descriptor of the layer's content. The analyzer does not answer.
    case layer(start: UInt32, extentsSpanFiles: Bool)
    /// The process that the container runs.
    case configure(start: UInt32, ContainerStart)
    /// The inode numbers of files that the container has read for the first time.
    case touched(start: UInt32, [UInt64])
    /// The arrival of ranges of content that the analyzer waits for. The numbers are the tokens from
    /// ``AnalyzerReply/waits(start:_:)``.
    case present(start: UInt32, [UInt32])
    /// A request for the order in which the container will probably read its files.
    case order(start: UInt32)
    /// The end of a container start. The analyzer forgets the start and does not answer.
    case end(start: UInt32)

    /// The bytes of the packet.
    public var encoded: [UInt8] {
        switch self {
        case .begin(let start, let layers, let treeSize, let speculates):
            AnalyzerPacket.writing(1, of: start) { bytes in
                bytes.appendLittleEndian(UInt16(truncatingIfNeeded: layers))
                bytes.appendLittleEndian(treeSize)
                bytes.append(speculates ? 1 : 0)
            }
        case .layer(let start, let extentsSpanFiles):
            AnalyzerPacket.writing(2, of: start) { $0.append(extentsSpanFiles ? 1 : 0) }
        case .configure(let start, let configuration):
            AnalyzerPacket.writing(3, of: start) { bytes in
                bytes.append(list: configuration.arguments) { $0.append(text: $1) }
                bytes.append(list: configuration.environment) { $0.append(text: $1) }
                bytes.append(text: configuration.workingDirectory)
            }
        case .touched(let start, let inodes):
            AnalyzerPacket.writing(4, of: start) { $0.append(list: inodes) { $0.appendLittleEndian($1) } }
        case .present(let start, let tokens):
            AnalyzerPacket.writing(5, of: start) { $0.append(list: tokens) { $0.appendLittleEndian($1) } }
        case .order(let start): AnalyzerPacket.writing(6, of: start)
        case .end(let start): AnalyzerPacket.writing(7, of: start)
        }
    }

    /// Decodes a packet.
    public init(decoding bytes: ArraySlice<UInt8>) throws(MalformedPacket) {
        var reader = AnalyzerPacket.Reader(bytes)
        let kind = try reader.integer(UInt8.self)
        let start = try reader.integer(UInt32.self)
        switch kind {
        case 1:
            self = .begin(
                start: start, layers: Int(try reader.integer(UInt16.self)), treeSize: try reader.integer(),
                speculates: try reader.flag())
        case 2: self = .layer(start: start, extentsSpanFiles: try reader.flag())
        case 3:
            let arguments = try reader.list { (reader) throws(MalformedPacket) in try reader.text() }
            let environment = try reader.list { (reader) throws(MalformedPacket) in try reader.text() }
            self = .configure(
                start: start,
                ContainerStart(
                    arguments: arguments, environment: environment, workingDirectory: try reader.text()))
        case 4:
            self = .touched(
                start: start, try reader.list { (reader) throws(MalformedPacket) in try reader.integer(UInt64.self) })
        case 5:
            self = .present(
                start: start, try reader.list { (reader) throws(MalformedPacket) in try reader.integer(UInt32.self) })
        case 6: self = .order(start: start)
        case 7: self = .end(start: start)
        default: throw MalformedPacket()
        }
        try reader.end()
    }
}

extension ContainerStart {
    /// The maximum total size in bytes of the texts in a ``AnalyzerCommand/configure(start:_:)`` packet, not counting
    /// the names of environment variables.
    private static let maximumBytes = 40 << 10
    /// The maximum size in bytes of one environment variable's value.
    private static let maximumVariable = 8 << 10
    /// The maximum number of arguments in a packet, including the program.
    private static let maximumArguments = 65

    /// The part of this configuration that predictions use, cut to fit into one packet.
    var bounded: ContainerStart {
        var left = Self.maximumBytes
        func cut(_ text: some StringProtocol, _ limit: Int) -> String {
            let text = String(decoding: text.utf8.prefix(min(limit, left)), as: UTF8.self)
            left -= min(left, text.utf8.count)
            return text
        }
        let workingDirectory = cut(workingDirectory, ImagePath.longest)
        let variables = ["PATH", "LD_LIBRARY_PATH", "NODE_PATH"].compactMap { name in
            variable(name).map { "\(name)=\(cut($0, Self.maximumVariable))" }
        }
        let arguments = arguments.prefix(Self.maximumArguments).map { cut($0, .max) }
        return ContainerStart(arguments: arguments, environment: variables, workingDirectory: workingDirectory)
    }
}
