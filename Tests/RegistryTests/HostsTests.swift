import Base
import Glibc
import Linux
import Registry
import TestRegistry
import TestSupport
import Testing

/// Runs `body` with a new directory, and removes the directory afterwards.
func withDirectory<Result>(_ body: (String) async throws -> Result) async throws -> Result {
    var template = Array("/tmp/rivulet-registry-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw RegistryError(.configuration, "mkdtemp: errno \(errno)") }
    let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer { remove(path) }
    return try await body(path)
}

private func remove(_ path: String) {
    if let directory = opendir(path) {
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { remove(path + "/" + name) }
        }
        closedir(directory)
        rmdir(path)
    } else {
        unlink(path)
    }
}

/// Writes a file and its parent directories. The modification time is `age` seconds ago, so that the client notices a
/// rewrite.
func write(_ text: String, to path: String, mode: mode_t = 0o644, age: Int = 0) throws {
    var directory = ""
    for part in path.split(separator: "/").dropLast() {
        directory += "/" + part
        mkdir(directory, 0o755)
    }
    unlink(path)
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    let bytes = Array(text.utf8)
    try #require(Glibc.write(descriptor, bytes, bytes.count) == bytes.count)
}

struct HostsTests {
    func hosts(_ toml: String, upstream: String = "ghcr.io", name: String? = nil) async throws -> HostListing {
        try withTemporaryDirectory { root in
            try write(toml, to: "\(root)/\(name ?? upstream)/hosts.toml")
            return HostListing.read(roots: ["\(root)/none", root], upstream: upstream)
        }
    }

    @Test("reads all settings in file order") func readsAllSettingsInFileOrder() async throws {
        let listing = try await hosts(
            #"""
            # comment with [host."http://no"]
            server = "https://z.example" # not "https://a.example"
            ca = "/etc/root.pem"
            note = """
            [host."https://not.example"]
            """
            [host."https://m2.example:8443/proxy/"]
              capabilities = ["pull"]
              ca = ["one.pem", "/abs/two.pem"]
              client = [["c.pem", "k.pem"], "both.pem"]
              skip_verify = true
              dial_timeout = "1m1.5s"
              [host."https://m2.example:8443/proxy/".header]
                X-Meta-Source-Client = "azure/aks"
                X-Two = ["a", "b"]
            [host.'http://a.example']
              capabilities = ["pull", "Resolve"]
            [host."m3.example/v2"]
            [host."https://m4.example/custom"]
              override_path = true
            """#)
        #expect(listing.problem == nil)
        #expect(
            listing.hosts.map(\.base) == [
                "https://m2.example:8443/proxy/v2", "http://a.example/v2", "https://m3.example/v2",
                "https://m4.example/custom", "https://z.example/v2",
            ])
        let first = try #require(listing.hosts.first)
        #expect(first.capabilities == .pull)
        #expect(first.tls.skipVerify)
        #expect(
            first.tls.authorities.map { $0.path.split(separator: "/").last.map(String.init) } == ["one.pem", "two.pem"])
        #expect(first.tls.authorities[1].path == "/abs/two.pem")
        #expect(first.tls.authorities[0].path.hasSuffix("/ghcr.io/one.pem"))
        #expect(first.tls.clientCertificates.count == 2)
        #expect(first.tls.clientCertificates[1].key.path.hasSuffix("/both.pem"))
        #expect(first.dialTimeout == .milliseconds(61_500))
        #expect(first.headers.map(\.value) == ["azure/aks", "a", "b"])
        #expect(listing.hosts[1].capabilities == [.pull, .resolve])
        #expect(listing.hosts[2].capabilities == .all)
        #expect(listing.hosts[4].tls.authorities.map(\.path) == ["/etc/root.pem"])
    }

    @Test(
        "keeps the order in every spelling",
        arguments: [
            #"host = { "https://b" = { capabilities = ["pull"] }, "https://a" = {} }"#,
            "[host]\n\"https://b\".capabilities = [ # x\n 'pull',\n]\n'https://a'.skip_verify = false",
            "host.\"https://b\".skip_verify = true\nhost.\"https://a\".skip_verify = true",
        ])
    func keepsOrderInEverySpelling(_ toml: String) async throws {
        let listing = try await hosts(toml)
        #expect(listing.problem == nil)
        #expect(listing.hosts.map(\.base) == ["https://b/v2", "https://a/v2", "https://ghcr.io/v2"])
    }

    @Test(
        "reports an unusable file and uses the upstream",
        arguments: [
            ("server = \n", ":1"), ("\n[host.\"https://a\"]\ncapabilities = [\"pull\", \"fly\"]\n", ":3"),
            ("server = 5", ":1"), ("\n\n[host.\"ftp://a\"]", ":3"),
            ("[host.\"https://a\"]\n\n skip_verify = \"yes\"", ":3"),
            ("[host.\"https://a\"]\nca = [1]", ":2"), ("[host.\"https://a\"]\nclient = [[\"a\",\"b\",\"c\"]]", ":2"),
            ("[host.\"https://a\".header]\n\"a b\" = \"x\"", ":1"), ("dial_timeout = \"soon\"", ":1"),
            ("host = 5", ":1"), ("[host.\"https://a/../b\"]", ":1"), ("\u{0}", ""),
            ("[host.\"https://a\"]\ncapabilities = \"pull\"", ":2"),
            // The TOML parser would trap on the following texts.
            ("x = 1\n[=a]", ":2"), ("[[\n", ":1"), ("[\r\"a\"]", ":1"), ("[[[a]]]", ":1"),
            ("a = [ } ]", ":1"), ("a = 1\nb = ,", ":2"), ("a = \u{b}1", ":1"),
            ("a = " + String(repeating: "[", count: 70) + "\n[?]", ":1"),
        ])
    func reportsUnusableFileAndUsesUpstream(_ toml: String, _ line: String) async throws {
        let listing = try await hosts(toml)
        #expect(listing.hosts == [RegistryHost.upstream("ghcr.io")])
        let problem = try #require(listing.problem)
        #expect(problem.code == .configuration)
        #expect(problem.message.contains("/ghcr.io/hosts.toml" + line), "\(problem)")
    }

    @Test(
        "finds directories as containerd does",
        arguments: [
            ("r.example:5000", "r.example_5000_"), ("r.example:5000", "r.example:5000"), ("r.example", "r.example"),
            ("r.example", "_default"), ("docker.io", "docker.io"),
        ])
    func findsDirectoriesAsContainerdDoes(_ upstream: String, _ name: String) async throws {
        let listing = try await hosts("[host.\"https://mirror\"]", upstream: upstream, name: name)
        let own = upstream == "docker.io" ? "registry-1.docker.io" : upstream
        #expect(listing.hosts.map(\.base) == ["https://mirror/v2", "https://\(own)/v2"])
    }

    @Test("the first directory wins") func firstDirectoryWins() async throws {
        try withTemporaryDirectory { root in
            try write("server = \"https://first\"", to: "\(root)/1/_default/hosts.toml")
            try write("server = \"https://second\"", to: "\(root)/2/r.example/hosts.toml")
            let roots = RegistryConfiguration.hostDirectories(configPath: "\(root)/0:\(root)/1:\(root)/2")
            #expect(HostListing.read(roots: roots, upstream: "r.example").hosts.map(\.authority) == ["first"])
            #expect(
                HostListing.read(roots: roots, upstream: "../2/r.example").hosts.map(\.authority) == ["../2/r.example"])
        }
    }

    @Test("falls back to docker's certificates", arguments: ["", "not toml ="])
    func fallsBackToDockersCertificates(_ toml: String) async throws {
        try withTemporaryDirectory { root in
            for name in ["a.crt", "b.crt", "c.cert", "c.key", "d.cert", "hosts.toml"] {
                try write(name == "hosts.toml" ? toml : "x", to: "\(root)/r.example/\(name)")
            }
            let listing = HostListing.read(roots: [root], upstream: "r.example")
            #expect(listing.hosts.count == 1)
            #expect(
                listing.hosts[0].tls.authorities.map(\.path) == ["\(root)/r.example/a.crt", "\(root)/r.example/b.crt"])
            #expect(listing.hosts[0].tls.clientCertificates.map(\.key.path) == ["\(root)/r.example/c.key"])
        }
    }

    @Test(
        "guesses loopback as containerd does",
        arguments: [
            ("localhost", "https", true), ("localhost:443", "https", true), ("localhost:5000", "http", true),
            ("localhost:80", "http", false), ("127.1.2.3:5000", "http", true), ("[::1]:5000", "http", true),
            ("[::1]", "https", true), ("128.0.0.1:5000", "https", false), ("127.0.0.1.example:5000", "https", false),
            ("r.example:80", "https", false),
        ])
    func guessesLoopbackAsContainerdDoes(_ host: String, _ scheme: String, _ skip: Bool) {
        let upstream = RegistryHost.upstream(host)
        #expect(upstream.scheme == scheme)
        #expect(upstream.tls.skipVerify == skip)
        #expect(upstream.mayBeSecure == (skip && scheme == "http"))
        #expect(upstream.authority == host)
    }

    /// Runs a test with a mirror in front of an upstream, both in this process. The client knows them from hosts.toml.
    func withMirror(
        capabilities: String = #"["pull", "resolve"]"#,
        _ body: (TestRegistry, TestRegistry, SkippingClock, RegistryClient, String) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { root in
            try await TestRegistry.withRegistry { upstream in
                try await TestRegistry.withRegistry { mirror in
                    let toml = """
                        server = "\(upstream.url)"
                        [host."\(mirror.url)"]
                        capabilities = \(capabilities)
                        [host."\(mirror.url)".header]
                        X-Secret = "for the mirror"
                        """
                    try write(toml, to: "\(root)/r.example/hosts.toml")
                    let clock = SkippingClock()
                    var settings = configuration(clock)
                    settings.hostDirectories = [root]
                    try await withClient(settings) { try await body(mirror, upstream, clock, $0, root) }
                }
            }
        }
    }

    func read(_ client: RegistryClient, _ digest: Digest, count: Int = 1) async throws {
        let location = BlobLocation(repository: Repository(host: "r.example", name: "a/b"), digest: digest)
        _ = try await client.open(location, .whole, priority: .demand).collect(maximumSize: 1 << 20)
    }

    @Test("asks the mirror first and names the upstream") func asksMirrorFirstAndNamesUpstream() async throws {
        try await withMirror { mirror, upstream, _, client, _ in
            let digest = mirror.addBlob([1])
            try await read(client, digest)
            #expect(mirror.requests.map(\.query) == ["ns=r.example"])
            #expect(mirror.requests[0].header("x-secret") == "for the mirror")
            #expect(upstream.requests.isEmpty)
        }
    }

    @Test("falls back to the upstream") func fallsBackToUpstream() async throws {
        try await withMirror { mirror, upstream, clock, client, _ in
            let digest = upstream.addBlob([1])
            for _ in 0..<3 { try await read(client, digest) }
            // The client asked the mirror once, because it trusts the mirror's answer for a minute.
            #expect(mirror.requests.count == 1)
            #expect(upstream.requests.count == 3)
            #expect(upstream.requests.allSatisfy { $0.header("x-secret") == nil })
            #expect(clock.sleeps.isEmpty)
            clock.advance(by: .seconds(61))
            mirror.addBlob([1])
            try await read(client, digest)
            #expect(upstream.requests.count == 3)
        }
    }

    @Test("resumes a mirror's broken body at the upstream") func resumesMirrorsBrokenBodyAtUpstream() async throws {
        try await withMirror { mirror, upstream, _, client, _ in
            let digest = mirror.addBlob(pattern(500_000))
            upstream.addBlob(pattern(500_000))
            mirror.inject(.breakBody(after: 200_000))
            mirror.inject(.close, times: 10)
            let location = BlobLocation(repository: Repository(host: "r.example", name: "a/b"), digest: digest)
            let bytes = try await client.open(location, .whole, priority: .demand).collect(maximumSize: 1 << 20)
            #expect(bytes == pattern(500_000))
            #expect(upstream.requests.count == 1)
            #expect(upstream.requests[0].range?.hasSuffix("-499999") == true)
        }
    }

    @Test("skips a dead mirror") func skipsDeadMirror() async throws {
        try await withMirror { mirror, upstream, clock, client, _ in
            let digest = upstream.addBlob([1])
            await mirror.stop()
            for _ in 0..<3 { try await read(client, digest) }
            #expect(upstream.requests.count == 3)
            #expect(client.counters.retries.value == 1)
            #expect(clock.sleeps.isEmpty)
        }
    }

    @Test("does not resolve tags at a pull-only mirror") func doesNotResolveTagsAtPullOnlyMirror() async throws {
        try await withMirror(capabilities: #"["pull"]"#) { mirror, upstream, _, client, _ in
            for registry in [mirror, upstream] { registry.addImage(repository: "a/b", layers: [TestLayer([1])]) }
            _ = try await client.resolve(try ImageReference(parsing: "r.example/a/b"))
            #expect(mirror.requests.isEmpty && upstream.requests.count == 1)
        }
    }

    @Test("notices changes after a few seconds") func noticesChangesAfterFewSeconds() async throws {
        try await withMirror { mirror, upstream, clock, client, root in
            #expect(await client.hosts(for: "r.example").count == 2)
            try write(
                "server = \"http://127.0.0.1:1\"\n# longer than before, or shorter", to: "\(root)/r.example/hosts.toml")
            #expect(await client.hosts(for: "r.example").count == 2)
            clock.advance(by: .seconds(4))
            #expect(await client.hosts(for: "r.example").map(\.authority) == ["127.0.0.1:1"])
            #expect(await client.hosts(for: "other.example").map(\.authority) == ["other.example"])
            try write("server = \"http://127.0.0.1:2\"", to: "\(root)/other.example/hosts.toml")
            clock.advance(by: .seconds(4))
            #expect(await client.hosts(for: "other.example").map(\.authority) == ["127.0.0.1:2"])
        }
    }
}
