import Registry

extension FuzzTarget {
    /// A `hosts.toml`. The last host is always the server.
    static let hosts = FuzzTarget("FuzzHosts") { input in
        let text = String(decoding: input, as: UTF8.self)
        let hosts = try? HostsFile.hosts(text, path: "/etc/certs.d/r.example/hosts.toml", upstream: "r.example") {
            name in
            precondition(name.hasPrefix("/"))
            return TLSSettings.File(path: name, modified: 0)
        }
        guard let hosts else { return }
        precondition(!hosts.isEmpty)
        for host in hosts {
            precondition(host.scheme == "http" || host.scheme == "https")
            precondition(!host.authority.isEmpty && !host.capabilities.isEmpty)
        }
    }

    /// Docker's `config.json`.
    static let dockerConfig = FuzzTarget("FuzzDockerConfig") { input in
        guard let config = DockerConfig(bytes: Array(input)) else { return }
        for host in ["docker.io", "registry.example", "r.example:5000", ""] {
            precondition(config.helper(for: host) != "")
            _ = try? config.credentials(for: host, path: "config.json")
        }
    }
}
