import Base
import Registry
import Testing

struct ImageReferenceTests {
    static let hex = String(repeating: "0123456789abcdef", count: 4)

    @Test(
        "normalizes references",
        arguments: [
            ("debian", "docker.io/library/debian:latest"),
            ("debian:12", "docker.io/library/debian:12"),
            ("team/app", "docker.io/team/app:latest"),
            ("index.docker.io/library/debian", "docker.io/library/debian:latest"),
            ("docker.io/debian", "docker.io/library/debian:latest"),
            ("ghcr.io/a/b/c:v1.2_3-x", "ghcr.io/a/b/c:v1.2_3-x"),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000/app:1", "localhost:5000/app:1"),
            ("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b:latest"),
            ("[::1]:5000/app", "[::1]:5000/app:latest"),
            ("[fd00::1]/app:x", "[fd00::1]/app:x"),
            ("Host/app", "Host/app:latest"),
            ("r.example/a__b/c--d.e:t", "r.example/a__b/c--d.e:t"),
            ("app@sha256:\(hex)", "docker.io/library/app@sha256:\(hex)"),
            ("ghcr.io/app:v1@sha256:\(hex)", "ghcr.io/app:v1@sha256:\(hex)"),
        ])
    func normalizesReferences(_ text: String, _ expected: String) throws {
        let reference = try ImageReference(parsing: text)
        #expect(reference.description == expected)
        #expect(try ImageReference(parsing: expected) == reference)
    }

    @Test(
        "rejects malformed references",
        arguments: [
            "", "/", "a/", "/a", "A", "a//b", "ghcr.io/", "a:", ":a", "a:b:c", "a@", "a@sha256:12", "a@md5:\(hex)",
            "a@sha256:\(hex.uppercased())", "a@sha256:\(hex)@sha256:\(hex)", "-a", "a-", "a..b", "a___b", "a._b",
            "ghcr.io:99999/a", "ghcr.io:/a", "ghcr.io:x/a", "[::1/a", "[]/a", "a b", "a\nb", "gh_cr.io/a", ".io/a",
            "https://ghcr.io/a", "ghcr.io/a:-x", "ghcr.io/../etc", hex, "ghcr.io/é",
            String(repeating: "a", count: 300), String(repeating: "a/", count: 400) + "b",
            "ghcr.io/a:" + String(repeating: "t", count: 129),
        ])
    func rejectsMalformedReferences(_ text: String) {
        #expect(throws: RegistryError.self) { try ImageReference(parsing: text) }
    }

    @Test("errors quote the reference printably") func errorsQuoteReferencePrintably() {
        do throws(RegistryError) {
            _ = try ImageReference(parsing: "bad name\u{1b}[31m")
            Issue.record("accepted")
        } catch {
            #expect(error.code == .invalidReference)
            #expect(error.message.contains("bad name?[31m"))
        }
    }
}
