import Daemon
import Foundation
import Logging
import Testing

struct JSONLogHandlerTests {
    /// Logs one event and parses the line with Foundation's JSON parser.
    private func logged(_ body: (Logger) -> Void) throws -> [String: Any] {
        let pipe = Pipe()
        let descriptor = pipe.fileHandleForWriting.fileDescriptor
        let logger = Logger(label: "rivulet.test") {
            JSONLogHandler(label: $0, level: .debug, descriptor: descriptor)
        }
        body(logger)
        try pipe.fileHandleForWriting.close()
        let data = try #require(try pipe.fileHandleForReading.readToEnd())
        return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    }

    @Test("writes one object a line") func writesOneObjectLine() throws {
        let object = try logged { logger in
            logger.warning("two\nlines \"quoted\" \\ \u{1}", metadata: ["image": "a/b:c", "list": ["1", "2"]])
        }
        #expect(object["level"] as? String == "warning")
        #expect(object["logger"] as? String == "rivulet.test")
        #expect(object["message"] as? String == "two\nlines \"quoted\" \\ \u{1}")
        #expect(object["image"] as? String == "a/b:c")
        #expect(object["list"] as? [String] == ["1", "2"])
        let time = try #require(object["time"] as? String)
        #expect(time.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z/) != nil)
    }
}
