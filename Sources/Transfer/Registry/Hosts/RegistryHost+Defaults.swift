extension RegistryHost {
    /// The upstream itself, where no `hosts.toml` says otherwise.
    ///
    /// As containerd does it: `docker.io` is served by `registry-1.docker.io`; loopback is HTTPS on port 443, plain HTTP on
    /// port 80, on any other whatever it speaks (``RegistryHost/mayBeSecure``), and its certificates are not verified;
    /// everything else is HTTPS.
    public static func upstream(_ host: String) -> RegistryHost {
        if host == "docker.io" {
            return RegistryHost(scheme: "https", authority: "registry-1.docker.io")
        }
        guard Authority.isLoopback(host) else {
            return RegistryHost(scheme: "https", authority: host)
        }
        let port = Authority.port(of: host)
        let isSecure = port == nil || port == 443
        return RegistryHost(
            scheme: isSecure ? "https" : "http", authority: host, tls: TLSSettings(skipVerify: port != 80),
            mayBeSecure: !isSecure && port != 80)
    }
}

/// Host names with ports, as they stand in references and URLs.
enum Authority {
    /// The port after the last colon outside brackets.
    static func port(of authority: String) -> Int? {
        guard let colon = authority.lastIndex(of: ":") else { return nil }
        let after = authority[authority.index(after: colon)...]
        // `[::1]` has colons but no port.
        guard !after.contains("]") else { return nil }
        return Int(after)
    }

    /// Without the port and the brackets.
    static func name(of authority: String) -> Substring {
        if authority.hasPrefix("[") {
            return authority.dropFirst().prefix { $0 != "]" }
        }
        return authority.prefix { $0 != ":" }
    }

    /// `localhost`, 127.0.0.0/8 or ::1.
    static func isLoopback(_ authority: String) -> Bool {
        let name = name(of: authority)
        if name == "localhost" || name == "::1" { return true }
        let octets = name.split(separator: ".", omittingEmptySubsequences: false)
        return octets.count == 4 && octets.first == "127" && octets.allSatisfy { UInt8($0) != nil }
    }
}
