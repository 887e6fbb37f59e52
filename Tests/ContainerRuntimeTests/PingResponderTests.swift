import ContainerRuntime
import NIOCore
import NIOEmbedded
import Testing

@Suite struct PingResponderTests {
    private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    private static func frame(_ type: UInt8, flags: UInt8 = 0, stream: UInt8 = 0, _ payload: [UInt8]) -> [UInt8] {
        let length = payload.count
        return [UInt8(length >> 16), UInt8(length >> 8 & 0xff), UInt8(length & 0xff), type, flags, 0, 0, 0, stream]
            + payload
    }

    private static func ping(_ number: UInt8, flags: UInt8 = 0) -> [UInt8] {
        frame(6, flags: flags, [UInt8](repeating: number, count: 8))
    }

    /// Returns what the next handler receives of `bytes`, and what is answered, if the bytes arrive in pieces.
    private static func result(
        of bytes: [UInt8], pieces: Int, as role: PingResponder.Role
    ) throws -> (passed: [UInt8], answered: [UInt8]) {
        let channel = EmbeddedChannel()
        try PingResponder.add(to: channel, as: role).wait()
        for start in stride(from: 0, to: bytes.count, by: pieces) {
            try channel.writeInbound(ByteBuffer(bytes: bytes[start..<min(start + pieces, bytes.count)]))
        }
        var passed: [UInt8] = []
        while let buffer = try channel.readInbound(as: ByteBuffer.self) { passed += buffer.readableBytesView }
        var answered: [UInt8] = []
        while let buffer = try channel.readOutbound(as: ByteBuffer.self) { answered += buffer.readableBytesView }
        _ = try channel.finish()
        return (passed, answered)
    }

    @Test("answers pings, and passes all other bytes on", arguments: [1, 2, 7, 9, 16, 17, 100, 10_000])
    func answersPings(pieces: Int) throws {
        // A frame of data that looks like a ping inside must not be taken for one.
        let data = Self.frame(0, stream: 1, Self.ping(9) + [UInt8](repeating: 6, count: 3000))
        let settings = Self.frame(4, [0, 3, 0, 0, 0, 100])
        let acknowledgment = Self.ping(8, flags: 1)
        // Pings of another length or stream are errors, which the next handler reports.
        let malformed = Self.frame(6, [1, 2, 3]) + Self.frame(6, stream: 3, [UInt8](repeating: 1, count: 8))
        let frames = [
            settings, Self.ping(1), data, Self.ping(2), Self.ping(3), acknowledgment, malformed, Self.ping(4),
        ]
        let expected = settings + data + acknowledgment + malformed
        let answers = (1...4).flatMap { Self.ping(UInt8($0), flags: 1) }
        let client = try Self.result(of: frames.flatMap { $0 }, pieces: pieces, as: .client)
        #expect(client.passed == expected)
        #expect(client.answered == answers)
        let server = try Self.result(of: Self.preface + frames.flatMap { $0 }, pieces: pieces, as: .server)
        #expect(server.passed == Self.preface + expected)
        #expect(server.answered == answers)
    }

    @Test("passes pings on while the peer does not read the answers") func boundsAnswers() throws {
        let channel = EmbeddedChannel()
        try PingResponder.add(to: channel, as: .client).wait()
        channel.isWritable = false
        try channel.writeInbound(ByteBuffer(bytes: Self.ping(1)))
        #expect(try channel.readInbound(as: ByteBuffer.self) == ByteBuffer(bytes: Self.ping(1)))
        #expect(try channel.readOutbound(as: ByteBuffer.self) == nil)
        _ = try channel.finish(acceptAlreadyClosed: true)
    }
}
