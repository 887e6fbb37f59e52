import Base
import Prediction
import TestSupport
import Testing

struct AnalyzerPacketTests {
    static let commands: [AnalyzerCommand] = [
        .begin(start: 7, layers: 128, treeSize: 1 << 40, speculates: true), .layer(start: 7, extentsSpanFiles: false),
        .configure(
            start: 1, ContainerStart(arguments: ["a", "ü"], environment: ["PATH=/bin"], workingDirectory: "/srv")),
        .touched(start: 2, [1, .max]), .present(start: .max, [0, .max]), .order(start: 3), .end(start: 4),
    ]
    static let replies: [AnalyzerReply] = [
        .ready, .unconfined(22),
        .runs(start: 1, [.init(layer: 65_535, content: ByteRange(offset: 5, end: .max), inode: 9)]),
        .waits(start: 2, [.init(token: 3, layer: 4, content: ByteRange(offset: 0, end: 1))]),
        .order(start: 5, [1, 2, 3]), .done(start: 6),
    ]

    @Test("reads what it writes", arguments: commands)
    func roundTrip(_ command: AnalyzerCommand) throws {
        #expect(try AnalyzerCommand(decoding: command.encoded[...]) == command)
    }

    @Test("reads the replies that it writes", arguments: replies)
    func roundTrip(_ reply: AnalyzerReply) throws {
        #expect(try AnalyzerReply(decoding: reply.encoded[...]) == reply)
    }

    @Test("rejects packets that are cut or too long")
    func rejectsWrongLengths() {
        for bytes in Self.commands.map(\.encoded) {
            for count in bytes.indices {
                #expect(throws: MalformedPacket.self) { try AnalyzerCommand(decoding: bytes[..<count]) }
            }
            #expect(throws: MalformedPacket.self) { try AnalyzerCommand(decoding: (bytes + [0])[...]) }
        }
        for bytes in Self.replies.map(\.encoded) {
            for count in bytes.indices {
                #expect(throws: MalformedPacket.self) { try AnalyzerReply(decoding: bytes[..<count]) }
            }
            #expect(throws: MalformedPacket.self) { try AnalyzerReply(decoding: (bytes + [0])[...]) }
        }
    }

    @Test("survives any bytes")
    func survivesNoise() {
        for seed in 0..<2000 as Range<UInt64> {
            var bytes = Samples.noise(bytes: Int(seed % 200), seed: seed)
            if !bytes.isEmpty { bytes[0] %= 9 }
            if let command = try? AnalyzerCommand(decoding: bytes[...]) {
                #expect((try? AnalyzerCommand(decoding: command.encoded[...])) == command, "seed \(seed)")
            }
            _ = try? AnalyzerReply(decoding: bytes[...])
        }
    }
}
