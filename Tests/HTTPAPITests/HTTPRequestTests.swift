import HTTPAPI
import Testing

@Suite struct HTTPRequestTests {
    @Test(
        "decodes paths",
        arguments: [
            ("/", [""]), ("/a/b", ["a", "b"]), ("/a%2Fb/c", ["a/b", "c"]), ("/a/", ["a", ""]), ("/%E2%82%AC", ["€"]),
            ("/x?y=/z", ["x"]),
            // An undecodable path is empty.
            ("/%", []), ("/%4", []), ("/%zz", []), ("/%FF", []), ("", []),
        ])
    func decodesPaths(_ target: String, _ path: [String]) {
        #expect(HTTPRequest(method: "GET", target: target).path == path)
    }

    @Test("decodes queries") func decodesQueries() {
        let query = HTTPRequest(method: "GET", target: "/p?a=1&b=x%20y&c&a=2&%=3&d=%").query
        #expect(query == ["a": "2", "b": "x y", "c": "", "d": ""])
    }
}
