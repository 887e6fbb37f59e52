import Base
import LayerIndex
import Linux
import SystemPackage

/// The analyzer's side of the socket. The server answers one command before it reads the next. It runs on one thread,
/// and reads only files whose file descriptors arrive in packets.
struct AnalyzerServer: ~Copyable {
    /// The state of a container start: the analyzer either waits for the file descriptors of further layers, or
    /// follows the start.
    private enum Start {
        case opening(TreeImage, [ImageContent], layerCount: Int, speculates: Bool)
        case following(StartPrediction)
    }

    private let socket: PacketSocket
    private let analyzers: [any FileAnalyzer]
    private var starts: [UInt32: Start] = [:]

    init(_ socket: consuming PacketSocket, _ analyzers: [any FileAnalyzer]) {
        self.socket = socket
        self.analyzers = analyzers
    }

    /// Handles commands until the client closes its end or an error occurs. Returns the exit code of the process.
    mutating func run() -> Int32 {
        var buffer = [UInt8](repeating: 0, count: AnalyzerPacket.maximumSize)
        do {
            try send(.ready)
            while true {
                let (count, descriptors) = try buffer.withUnsafeMutableBytes { (buffer) throws(Errno) in
                    try socket.receive(into: buffer, waits: true)
                }
                guard count > 0 else { return 0 }
                for extra in descriptors.dropFirst() { _ = OwnedDescriptor(taking: extra) }
                if let first = descriptors.first {
                    try open(try AnalyzerCommand(decoding: buffer[..<count]), OwnedDescriptor(taking: first))
                } else {
                    try handle(try AnalyzerCommand(decoding: buffer[..<count]))
                }
            }
        } catch is MalformedPacket {
            return 76
        } catch {
            return 74
        }
    }

    /// Handles a command that carries a file descriptor.
    private mutating func open(_ command: AnalyzerCommand, _ file: consuming OwnedDescriptor) throws {
        switch command {
        case .begin(let start, let layers, let treeSize, let speculates):
            // If the tree of a start cannot be read, the start has no entry here, so later commands for it find
            // nothing.
            starts[start] = (try? TreeImage(mapping: MappedFile(descriptor: file.raw, size: treeSize))).map {
                .opening($0, [], layerCount: layers, speculates: speculates)
            }
        case .layer(let start, let extentsSpanFiles):
            guard case .opening(let tree, var layers, let count, let speculates) = starts[start] else { return }
            layers.append(ImageContent(file, extentsSpanFiles: extentsSpanFiles))
            starts[start] =
                layers.count < count
                ? .opening(tree, layers, layerCount: count, speculates: speculates)
                : .following(
                    StartPrediction(tree: tree, layers: layers, speculates: speculates, analyzers: analyzers))
        default: throw MalformedPacket()
        }
    }

    private mutating func handle(_ command: AnalyzerCommand) throws {
        switch command {
        case .begin, .layer: throw MalformedPacket()
        case .configure(let start, let configuration): try turn(start) { $0.start(configuration) }
        case .touched(let start, let inodes):
            try turn(start) { prediction in
                for inode in inodes { prediction.touched(inode) }
            }
        case .present(let start, let tokens):
            try turn(start) { prediction in
                for token in tokens { prediction.present(token) }
            }
        case .order(let start):
            if case .following(let prediction) = starts[start] {
                try inPackets(prediction.order()) { .order(start: start, $0) }
            }
            try send(.done(start: start))
        case .end(let start): starts[start] = nil
        }
    }

    private mutating func turn(_ start: UInt32, _ body: (inout StartPrediction) -> Void) throws {
        // Remove the start from the dictionary during the turn, so that Swift changes it in place and does not copy it.
        if case .following(var prediction) = starts.removeValue(forKey: start) {
            prediction.beginTurn()
            body(&prediction)
            let (runs, waits) = prediction.takeFindings()
            starts[start] = .following(prediction)
            try inPackets(runs) { .runs(start: start, $0) }
            try inPackets(waits) { .waits(start: start, $0) }
        }
        try send(.done(start: start))
    }

    private func inPackets<Item>(_ items: [Item], _ reply: ([Item]) -> AnalyzerReply) throws(Errno) {
        var rest = items[...]
        while !rest.isEmpty {
            try send(reply(Array(rest.prefix(AnalyzerPacket.maximumItems))))
            rest = rest.dropFirst(AnalyzerPacket.maximumItems)
        }
    }

    private func send(_ reply: AnalyzerReply) throws(Errno) {
        try socket.send(reply.encoded, waits: true)
    }
}
