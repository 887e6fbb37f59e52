import Base
import Linux
import Registry
import TestRegistry
import TestSupport
import Testing

/// Tests of registries over TLS, which `hosts.toml` configures or the client detects as containerd does.
@Suite(.serialized)
struct TLSTests {
    /// Runs a test with a registry over TLS. The client's `hosts.toml` contains `lines`.
    private func withSecure(
        _ tls: (TestCertificates) -> TestTLS, _ lines: (TestCertificates) -> String,
        _ body: (TestRegistry, RegistryClient, BlobLocation, TestCertificates) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { root in
            let certificates = try TestCertificates(in: root)
            try await TestRegistry.withRegistry(tls: tls(certificates)) { registry in
                try write(
                    "server = \"\(registry.url)\"\n\(lines(certificates))\n",
                    to: "\(root)/hosts/r.example/hosts.toml")
                var settings = configuration()
                settings.hostDirectories = ["\(root)/hosts"]
                try await withClient(settings) { client in
                    let digest = registry.addBlob(pattern(1000))
                    let location = BlobLocation(repository: Repository(host: "r.example", name: "a/b"), digest: digest)
                    try await body(registry, client, location, certificates)
                }
            }
        }
    }

    private func read(_ client: RegistryClient, _ location: BlobLocation) async throws {
        let stream = try await client.open(location, .range(ByteRange(offset: 1, end: 11)), priority: .demand)
        #expect(try await stream.collect(maximumSize: 10) == Array(pattern(1000)[1..<11]))
    }

    @Test("trusts an authority of hosts.toml") func trustsAuthorityOfHostsToml() async throws {
        try await withSecure({ $0.server }, { "ca = \"\($0.authority)\"" }) { registry, client, location, _ in
            for _ in 0..<2 { try await read(client, location) }
            #expect(registry.requests(.blob).count == 2)
            #expect(Set(registry.requests.map(\.connection)).count == 1)
        }
    }

    @Test("opens TLS connections ahead") func opensTLSConnectionsAhead() async throws {
        try await withSecure({ $0.server }, { "ca = \"\($0.authority)\"" }) { registry, client, location, _ in
            await client.makeReady("r.example")
            #expect(await registry.reaches(connections: 8))
            try await read(client, location)
            #expect(registry.connections == 8)
            #expect(registry.requests.count == 1)
        }
    }

    @Test("skip_verify accepts any certificate") func skipVerifyAcceptsAnyCertificate() async throws {
        for server in [{ (made: TestCertificates) in made.server }, { $0.strangeServer }] {
            try await withSecure(server, { _ in "skip_verify = true" }) { _, client, location, _ in
                try await read(client, location)
            }
        }
    }

    @Test("rejects an untrusted server and names the files", arguments: ["another authority", "none", "another name"])
    func rejectsUntrustedServerAndNamesFiles(_ what: String) async throws {
        try await withSecure(
            { what == "another name" ? $0.strangeServer : $0.server },
            { made in
                switch what {
                case "another authority": "ca = \"\(made.otherAuthority)\""
                case "none": "capabilities = [\"pull\"]"
                default: "ca = \"\(made.authority)\""
                }
            },
            { registry, client, location, made in
                let error = try #require(await failure { try await read(client, location) })
                #expect(error.code == .untrusted)
                #expect(error.message.contains(registry.url), "\(error)")
                let file = what == "none" ? "the system" : what == "another name" ? made.authority : made.otherAuthority
                #expect(error.message.contains(file), "\(error)")
                #expect(registry.requests.isEmpty)
                #expect(client.counters.retries.value <= 1, "another try gives the same answer")
            })
    }

    @Test("presents a client certificate") func presentsClientCertificate() async throws {
        try await withSecure(
            { $0.choosyServer },
            { "ca = \"\($0.authority)\"\nclient = [[\"\($0.client.certificate)\", \"\($0.client.key)\"]]" },
            { registry, client, location, _ in
                try await read(client, location)
                #expect(registry.requests(.blob).count == 1)
            })
    }

    @Test("reports a missing or wrong client certificate", arguments: [true, false])
    func reportsMissingOrWrongClientCertificate(_ hasOne: Bool) async throws {
        // The wrong certificate is signed by another authority: itself.
        let lines = { (made: TestCertificates) in
            let own = made.otherAuthority.replacing(".pem", with: "")
            return "ca = \"\(made.authority)\"" + (hasOne ? "\nclient = [[\"\(own).pem\", \"\(own).key\"]]" : "")
        }
        try await withSecure({ $0.choosyServer }, lines) { registry, client, location, made in
            let error = try #require(await failure { try await read(client, location) })
            #expect(error.code == .untrusted)
            #expect(error.message.contains(registry.url), "\(error)")
            #expect(error.message.contains(hasOne ? made.otherAuthority : "none is configured"), "\(error)")
            #expect(registry.requests.isEmpty)
        }
    }

    @Test("names an unusable authority file", arguments: ["missing.pem", "hosts/r.example/hosts.toml"])
    func namesUnusableAuthorityFile(_ name: String) async throws {
        try await withSecure({ $0.server }, { "ca = \"\($0.directory)/\(name)\"" }) { _, client, location, made in
            let error = try #require(await failure { try await read(client, location) })
            #expect(error.code == .configuration)
            #expect(error.message.contains("\(made.directory)/\(name)"), "\(error)")
        }
    }

    @Test("sends a redirect target no client certificate") func sendsRedirectTargetNoClientCertificate() async throws {
        // The client gives the storage nothing of ours but the trust. So a storage that demands a client certificate
        // refuses it.
        for (isChoosy, code) in [(false, nil), (true, RegistryError.Code.untrusted)] {
            try await withSecure(
                { $0.choosyServer },
                { "ca = \"\($0.authority)\"\nclient = [[\"\($0.client.certificate)\", \"\($0.client.key)\"]]" },
                { registry, client, location, made in
                    try await TestRegistry.withRegistry(tls: isChoosy ? made.choosyServer : made.server) { storage in
                        registry.behaviour.redirect = .init(to: storage, issued: SkippingClock.startDate)
                        let error = await failure { try await read(client, location) }
                        #expect(error?.code == code)
                        #expect(storage.requests.count == (isChoosy ? 0 : 1))
                    }
                })
        }
    }

    @Test("rejects a redirect from https to http") func rejectsRedirectFromHttpsToHttp() async throws {
        try await withSecure({ $0.server }, { "ca = \"\($0.authority)\"" }) { registry, client, location, _ in
            try await TestRegistry.withRegistry { storage in
                registry.behaviour.redirect = .init(to: storage, issued: SkippingClock.startDate)
                let error = try #require(await failure { try await read(client, location) })
                #expect(error.code == .redirectRefused)
                #expect(error.message.contains(registry.url) && error.message.contains(storage.url), "\(error)")
                #expect(!error.message.contains("Signature"))
                #expect(storage.requests.isEmpty)
            }
        }
    }

    // MARK: - containerd's guess

    /// The client has no `hosts.toml`, as for `localhost:5000/app` in a reference.
    @Test("detects TLS on a loopback registry", arguments: [true, false], ["127.0.0.1", "localhost"])
    func detectsTLSOnLoopbackRegistry(_ isSecure: Bool, _ name: String) async throws {
        try await withTemporaryDirectory { root in
            let tls = isSecure ? try TestCertificates(in: root).server : nil
            try await TestRegistry.withRegistry(tls: tls) { registry in
                let digest = registry.addBlob(pattern(1000))
                let location = BlobLocation(
                    repository: Repository(host: "\(name):\(registry.port)", name: "a/b"), digest: digest)
                try await withClient(configuration()) { client in
                    for _ in 0..<3 { try await read(client, location) }
                    #expect(registry.requests.map(\.kind) == [.blob, .blob, .blob])
                    #expect(client.requestCount == 3)
                    #expect(client.counters.retries.value == 0)
                }
            }
        }
    }

    @Test("tries TLS first on a plain host with TLS settings", arguments: [true, false])
    func triesTLSFirstOnPlainHostWithTLSSettings(_ isSecure: Bool) async throws {
        try await withTemporaryDirectory { root in
            let certificates = try TestCertificates(in: root)
            try await TestRegistry.withRegistry(tls: isSecure ? certificates.server : nil) { registry in
                try write(
                    "[host.\"http://\(registry.host)\"]\nca = \"\(certificates.authority)\"\n",
                    to: "\(root)/hosts/r.example/hosts.toml")
                var settings = configuration()
                settings.hostDirectories = ["\(root)/hosts"]
                try await withClient(settings) { client in
                    let digest = registry.addBlob(pattern(1000))
                    let location = BlobLocation(repository: Repository(host: "r.example", name: "a/b"), digest: digest)
                    for _ in 0..<2 { try await read(client, location) }
                    #expect(registry.requests(.blob).count == 2)
                }
            }
        }
    }

    @Test(
        "derives TLS attempts from hosts.toml",
        arguments: [
            ("[host.\"http://a:5000\"]", false), ("[host.\"http://a:5000\"]\nskip_verify = false", true),
            ("[host.\"http://a:80\"]\nskip_verify = true", false), ("[host.\"http://a\"]\nca = \"/x\"", true),
            ("[host.\"https://a:5000\"]\nskip_verify = true", false),
        ])
    func derivesTLSAttemptsFromHostsToml(_ toml: String, _ expected: Bool) async throws {
        let listing = try await HostsTests().hosts(toml)
        #expect(listing.problem == nil)
        #expect(listing.hosts.first?.mayBeSecure == expected)
    }
}
