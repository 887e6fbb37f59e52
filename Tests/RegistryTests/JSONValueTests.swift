import FoundationEssentials
import Registry
import Testing

struct JSONValueTests {
    private static func nested(_ depth: Int, in brackets: (String, String)) -> Data {
        Data((String(repeating: brackets.0, count: depth) + "1" + String(repeating: brackets.1, count: depth)).utf8)
    }

    /// Foundation decodes 512 levels, which overflow a stack of 1 MiB.
    @Test("refuses values nested deeper than its limit")
    func refusesDeepNesting() throws {
        for brackets in [("[", "]"), ("{\"x\":", "}")] {
            let depth = JSONValue.maximumDepth
            #expect(throws: Never.self) {
                try JSONDecoder().decode(JSONValue.self, from: Self.nested(depth - 1, in: brackets))
            }
            for depth in [depth + 1, 480] {
                #expect(throws: DecodingError.self) {
                    try JSONDecoder().decode(JSONValue.self, from: Self.nested(depth, in: brackets))
                }
            }
        }
    }

    @Test("keeps what it does not know")
    func keepsUnknownValues() throws {
        let text = #"{"a":[1,2.5,"x",null,true],"b":{"c":{}}}"#
        let value = try JSONDecoder().decode(JSONValue.self, from: Data(text.utf8))
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        #expect(String(decoding: try encoder.encode(value), as: UTF8.self) == text)
    }
}
