import HTTPAPI
import Testing

@Suite struct HTTPRequestTests {
    @Test(arguments: [
        ("/", [""]), ("/a/b", ["a", "b"]), ("/a%2Fb/c", ["a/b", "c"]), ("/a/", ["a", ""]), ("/%E2%82%AC", ["€"]),
        ("/x?y=/z", ["x"]),
        // What cannot be decoded names nothing.
        ("/%", []), ("/%4", []), ("/%zz", []), ("/%FF", []), ("", []),
    ])
    func pathsAreDecoded(_ target: String, _ path: [String]) {
        #expect(HTTPRequest(method: "GET", target: target).path == path)
    }

    @Test func queriesAreDecoded() {
        let query = HTTPRequest(method: "GET", target: "/p?a=1&b=x%20y&c&a=2&%=3&d=%").query
        #expect(query == ["a": "2", "b": "x y", "c": "", "d": ""])
    }
}
