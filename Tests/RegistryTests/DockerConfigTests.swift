import Base
import Linux
import Registry
import Testing

struct DockerConfigTests {
    func credentials(
        _ config: String, _ host: String, helpers: [String: String] = [:], timeout: Duration = .seconds(10)
    )
        async throws -> Credentials?
    {
        try await withTemporaryDirectory { root in
            try write(config, to: "\(root)/config.json")
            for (name, script) in helpers {
                try write("#!/bin/sh\n" + script, to: "\(root)/bin/docker-credential-\(name)", mode: 0o755)
            }
            let source = DockerConfigCredentials(
                path: "\(root)/config.json", helperDirectories: ["\(root)/none", "\(root)/bin"], timeout: timeout)
            return try await source.credentials(
                for: CredentialRequest(host: host, repository: Repository(host: host, name: "a/b")))
        }
    }

    static let user = Credentials.password(user: "user", password: Secret("pa:ss"))
    // The user is `user`, the password `pa:ss`.
    static let auth = #"{"auth":"dXNlcjpwYTpzcw=="}"#

    @Test(
        "reads auths",
        arguments: [
            (#"{"auths":{"r.example:5000":\#(auth)}}"#, "r.example:5000", user),
            (#"{"auths":{"https://r.example/v1/":\#(auth)}}"#, "r.example", user),
            (#"{"auths":{"https://index.docker.io/v1/":\#(auth)}}"#, "registry-1.docker.io", user),
            (#"{"auths":{"docker.io":\#(auth)}}"#, "registry-1.docker.io", user),
            (#"{"auths":{"r.example":{"username":"user","password":"pa:ss"}},"other":1}"#, "r.example", user),
            (#"{"auths":{"r.example":{"auth":"dXNlcjpwYTpzcwAA"}}}"#, "r.example", user),
            (
                #"{"auths":{"r.example":{"auth":"eDp5","identitytoken":"tok"}}}"#, "r.example",
                .refreshToken(Secret("tok"))
            ),
            (#"{"auths":{"r.example":{"registrytoken":"tok"}}}"#, "r.example", .bearer(Secret("tok"))),
            (#"{"auths":{"r.example":\#(auth)}}"#, "r.example:5000", nil),
            (#"{"auths":{"r.example":{}}}"#, "r.example", nil), ("{}", "r.example", nil),
        ] as [(String, String, Credentials?)])
    func readsAuths(_ config: String, _ host: String, _ expected: Credentials?) async throws {
        #expect(try await credentials(config, host) == expected)
    }

    @Test(
        "names an unusable file without quoting it",
        arguments: ["", "[]", #"{"auths":{"r.example":{"auth":"%secret%"}}}"#, #"{"auths":"secret"}"#])
    func namesUnusableFileWithoutQuotingIt(_ config: String) async throws {
        let error = await failure { _ = try await credentials(config, "r.example") }
        #expect(error?.code == .configuration)
        #expect(error?.message.contains("/config.json") == true)
        #expect(error.map { "\($0)".contains("secret") } == false)
    }

    @Test("a missing file has no credentials") func missingFileHasNoCredentials() async throws {
        let source = DockerConfigCredentials(path: "/nonexistent/config.json")
        let request = CredentialRequest(host: "a", repository: Repository(host: "a", name: "b"))
        #expect(try await source.credentials(for: request) == nil)
    }

    static let answer = #"echo '{"ServerURL":"x","Username":"user","Secret":"pa:ss"}'"#

    @Test("asks helpers before the file") func asksHelpersBeforeFile() async throws {
        let config = #"{"auths":{"r.example":{"auth":"eDp5"}},"credHelpers":{"r.example":"one"},"credsStore":"two"}"#
        let helpers = [
            "one": #"[ "$1" = get ] && [ "$(cat)" = r.example ] && \#(Self.answer)"#,
            "two": #"cat >/dev/null; echo '{"ServerURL":"x","Username":"<token>","Secret":"tok"}'"#,
        ]
        #expect(try await credentials(config, "r.example", helpers: helpers) == Self.user)
        #expect(try await credentials(config, "other.example", helpers: helpers) == .refreshToken(Secret("tok")))
    }

    @Test("asks for Docker Hub by its old name") func asksForDockerHubByItsOldName() async throws {
        let helpers = ["one": #"[ "$(cat)" = https://index.docker.io/v1/ ] && \#(Self.answer)"#]
        #expect(
            try await credentials(#"{"credsStore":"one"}"#, "registry-1.docker.io", helpers: helpers) == Self.user)
    }

    @Test("falls back from a helper to the file") func fallsBackFromHelperToFile() async throws {
        let config = #"{"auths":{"r.example":\#(Self.auth)},"credsStore":"one"}"#
        let helpers = ["one": "echo credentials not found in native keychain; exit 1"]
        #expect(try await credentials(config, "r.example", helpers: helpers) == Self.user)
    }

    @Test(
        "bounds a failing helper",
        arguments: [
            "exit 3", "echo nonsense", #"echo '{"Username":"u"}'"#, "head -c 1000000 /dev/zero", "sleep 600",
            "sleep 600 & wait",
            "kill -9 $$",
        ])
    func boundsFailingHelper(_ script: String) async throws {
        let isSlow = script.hasPrefix("sleep")
        let error = await failure {
            _ = try await credentials(
                #"{"credsStore":"one"}"#, "r.example", helpers: ["one": script],
                timeout: isSlow ? .milliseconds(100) : .seconds(10))
        }
        #expect(error?.code == .credentials)
        #expect(error?.message.contains("docker-credential-one") == true)
    }

    @Test(
        "rejects invalid helper names",
        arguments: ["../../bin/sh", "", "a b", "missing", String(repeating: "a", count: 200)])
    func rejectsInvalidHelperNames(_ name: String) async throws {
        guard !name.isEmpty else {
            #expect(try await credentials(#"{"credsStore":""}"#, "r.example") == nil)
            return
        }
        let error = await failure { _ = try await credentials(#"{"credsStore":"\#(name)"}"#, "r.example") }
        #expect(error?.code == .credentials)
    }

    @Test("a chain takes the first answer") func chainTakesFirstAnswer() async throws {
        let request = CredentialRequest(host: "a", repository: Repository(host: "a", name: "b"))
        let chain = CredentialChain([
            DockerConfigCredentials(path: "/dev/null"), FakeCredentials(nil), FakeCredentials(Self.user),
        ])
        #expect(try await chain.credentials(for: request) == Self.user)
        let broken = CredentialChain([DockerConfigCredentials(path: "/dev/null"), FakeCredentials(nil)])
        let error = await failure { _ = try await broken.credentials(for: request) }
        #expect(error?.code == .configuration)
    }
}
