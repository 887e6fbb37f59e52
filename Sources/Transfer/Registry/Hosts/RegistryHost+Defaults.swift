extension RegistryHost {
    /// Returns the upstream itself as a host, for a registry without a server in `hosts.toml`.
    ///
    /// The rules are containerd's. `registry-1.docker.io` serves `docker.io`. At a loopback address, the client uses
    /// plain HTTP on port 80, and HTTPS on port 443 or if the address has no port. On any other port of a loopback
    /// address, it uses the protocol that the server speaks (``RegistryHost/mayBeSecure``). It does not verify
    /// certificates of loopback addresses. Every other host uses HTTPS.
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

/// Functions on authorities: host names with an optional port, as in references and URLs.
enum Authority {
    /// Returns the port after the last colon outside brackets, or `nil` if there is none.
    static func port(of authority: String) -> Int? {
        guard let colon = authority.lastIndex(of: ":") else { return nil }
        let after = authority[authority.index(after: colon)...]
        // `[::1]` has colons but no port.
        guard !after.contains("]") else { return nil }
        return Int(after)
    }

    /// Returns the host name without its port, and without the brackets of an IPv6 address.
    static func name(of authority: String) -> Substring {
        if authority.hasPrefix("[") {
            return authority.dropFirst().prefix { $0 != "]" }
        }
        return authority.prefix { $0 != ":" }
    }

    /// Returns true if the host is `localhost`, `::1`, or an address in 127.0.0.0/8.
    static func isLoopback(_ authority: String) -> Bool {
        let name = name(of: authority)
        if name == "localhost" || name == "::1" { return true }
        let octets = name.split(separator: ".", omittingEmptySubsequences: false)
        return octets.count == 4 && octets.first == "127" && octets.allSatisfy { UInt8($0) != nil }
    }
}
