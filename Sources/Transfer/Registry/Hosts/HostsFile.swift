import TOMLKit

/// A parser of one `hosts.toml` (containerd's docs/hosts.md; core/remotes/docker/config/hosts.go).
///
/// The parser returns the hosts of the `[host]` tables in the order of the file. The last host is the `server` of the
/// file, or the upstream itself if the file names no server.
package struct HostsFile {
    private let path: String
    private let directory: String
    private let upstream: String
    private let outline: TOMLOutline
    /// A function that takes the path of a certificate file, and returns the path together with the file's modification
    /// time.
    private let stamp: (String) -> TLSSettings.File

    /// Parses the text of a file.
    ///
    /// - Parameters:
    ///   - path: the file's path, for errors and for the relative names of certificates.
    ///   - upstream: the upstream that the file describes.
    ///   - stamp: takes the path of a certificate file, and returns the path together with the file's modification
    ///     time.
    /// - Throws: `configuration`, with a message that names the file and, if known, the line.
    package static func hosts(
        _ text: String, path: String, upstream: String, stamp: (String) -> TLSSettings.File
    ) throws(RegistryError) -> [RegistryHost] {
        try withoutActuallyEscaping(stamp) { stamp throws(RegistryError) in
            try HostsFile(text, path: path, upstream: upstream, stamp: stamp).parse(text)
        }
    }

    private init(_ text: String, path: String, upstream: String, stamp: @escaping (String) -> TLSSettings.File) {
        self.path = path
        self.upstream = upstream
        self.stamp = stamp
        directory = path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        outline = TOMLOutline(text)
    }

    private func parse(_ text: String) throws(RegistryError) -> [RegistryHost] {
        if let fault = outline.fault {
            throw RegistryError(.configuration, "\(path):\(fault.line): \(fault.reason)")
        }
        let root: TOMLTable
        do {
            root = try TOMLTable(string: text)
        } catch let error as TOMLParseError {
            throw RegistryError(.configuration, "\(path):\(error.source.begin.line): \(error.description)")
        } catch {
            throw RegistryError(.configuration, "cannot parse \(path)", cause: error)
        }
        var hosts: [RegistryHost] = []
        if let value = root["host"] {
            guard let tables = value.table else { throw wrong(["host"], "must be a table") }
            var keys = outline.keys(below: "host").filter { tables[$0] != nil }
            // The outline does not decode every escape, so it may lack a key with escapes. Put such a key last instead
            // of dropping it.
            keys += tables.keys.filter { !keys.contains($0) }
            for key in keys {
                guard let table = tables[key]?.table else { throw wrong(["host", key], "must be a table") }
                hosts.append(try host(table, url: key, at: ["host", key]))
            }
        }
        hosts.append(try host(root, url: try string(root, "server", at: []), at: []))
        return hosts
    }

    private func host(_ table: TOMLTable, url: String?, at place: [String]) throws(RegistryError) -> RegistryHost {
        let overridePath = try bool(table, "override_path", at: place) ?? false
        var host: RegistryHost
        if let url, !url.isEmpty {
            guard let parsed = Self.parse(url, overridePath: overridePath) else {
                throw wrong(place.isEmpty ? ["server"] : place, "\(quoted(url)) is not a URL of a registry")
            }
            host = parsed
            host.capabilities = try capabilities(table, at: place)
        } else {
            // As in containerd, the upstream's own entry has every capability, whatever the file says.
            host = .upstream(upstream)
        }
        host.tls.authorities = try strings(table, "ca", at: place).map(file)
        host.tls.clientCertificates = try clientCertificates(table, at: place)
        let skip = try bool(table, "skip_verify", at: place)
        if let skip { host.tls.skipVerify = skip }
        let hasTLS = skip != nil || !host.tls.authorities.isEmpty || !host.tls.clientCertificates.isEmpty
        if hasTLS, host.scheme == "http", Authority.port(of: host.authority) != 80 { host.mayBeSecure = true }
        host.headers = try headers(table, at: place)
        if let text = try string(table, "dial_timeout", at: place) {
            guard let duration = GoDuration.parse(text) else {
                throw wrong(place + ["dial_timeout"], "\(quoted(text)) is not a duration like \"30s\"")
            }
            host.dialTimeout = duration
        }
        return host
    }

    /// Parses a host's URL, or returns `nil` if the URL is malformed. The scheme defaults to `https`. The method
    /// appends `/v2` to the path, unless the path ends with `/v2` or `overridePath` is true.
    static func parse(_ text: String, overridePath: Bool) -> RegistryHost? {
        var rest = text[...]
        var scheme = "https"
        if let separator = text.firstRange(of: "://") {
            scheme = text[..<separator.lowerBound].lowercased()
            rest = text[separator.upperBound...]
        }
        guard scheme == "http" || scheme == "https", !rest.contains("?"), !rest.contains("#") else { return nil }
        let authority = rest.prefix { $0 != "/" }
        guard ReferenceGrammar.isDomain(authority) else { return nil }
        var path = ""
        for part in rest.dropFirst(authority.count).split(separator: "/") where part != "." {
            guard part != "..", part.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else { return nil }
            path += "/" + part
        }
        if !overridePath && !path.hasSuffix("/v2") { path += "/v2" }
        return RegistryHost(scheme: scheme, authority: String(authority), path: path)
    }

    private func capabilities(
        _ table: TOMLTable, at place: [String]
    ) throws(RegistryError) -> RegistryHost.Capabilities {
        guard table["capabilities"] != nil else { return .all }
        guard table["capabilities"]?.array != nil else { throw wrong(place + ["capabilities"], "must be a list") }
        var result: RegistryHost.Capabilities = []
        for name in try strings(table, "capabilities", at: place) {
            switch name.lowercased() {
            case "pull": result.insert(.pull)
            case "resolve": result.insert(.resolve)
            case "push": result.insert(.push)
            case "referrers": result.insert(.referrers)
            default: throw wrong(place + ["capabilities"], "unknown capability \(quoted(name))")
            }
        }
        return result.isEmpty ? .all : result
    }

    /// Parses client certificates. A string names one PEM file that contains both the certificate and the key. A list
    /// contains such strings, or pairs of a certificate file and a key file. If a pair lacks the key file, the
    /// certificate file also contains the key.
    private func clientCertificates(
        _ table: TOMLTable, at place: [String]
    ) throws(RegistryError) -> [TLSSettings.ClientCertificate] {
        let place = place + ["client"]
        guard let value = table["client"] else { return [] }
        if let both = value.string { return [.init(certificate: file(both), key: file(both))] }
        guard let list = value.array else { throw wrong(place, "must be a string or a list") }
        var result: [TLSSettings.ClientCertificate] = []
        for element in list {
            if let both = element.string {
                result.append(.init(certificate: file(both), key: file(both)))
                continue
            }
            let pair = element.array.map { $0.compactMap { $0.string } } ?? []
            guard let certificate = pair.first, pair.count <= 2, element.array?.count == pair.count else {
                throw wrong(place, "must hold strings or pairs of strings")
            }
            let key = pair.count == 2 && !pair[1].isEmpty ? pair[1] : certificate
            result.append(.init(certificate: file(certificate), key: file(key)))
        }
        return result
    }

    private func headers(_ table: TOMLTable, at place: [String]) throws(RegistryError) -> [RegistryHost.Header] {
        guard let value = table["header"] else { return [] }
        guard let fields = value.table else { throw wrong(place + ["header"], "must be a table") }
        var result: [RegistryHost.Header] = []
        for name in fields.keys {
            let isToken = { (byte: UInt8) in (0x21...0x7e).contains(byte) && byte != 0x3a }
            guard !name.isEmpty, name.utf8.allSatisfy(isToken) else {
                throw wrong(place + ["header"], "\(quoted(name)) is not the name of a header")
            }
            for text in try strings(fields, name, at: place + ["header"]) {
                guard text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) else {
                    throw wrong(place + ["header", name], "control characters in the value")
                }
                result.append(RegistryHost.Header(name: name, value: text))
            }
        }
        return result
    }

    // MARK: - Values

    private func string(_ table: TOMLTable, _ key: String, at place: [String]) throws(RegistryError) -> String? {
        guard let value = table[key] else { return nil }
        guard let text = value.string else { throw wrong(place + [key], "must be a string") }
        return text
    }

    private func bool(_ table: TOMLTable, _ key: String, at place: [String]) throws(RegistryError) -> Bool? {
        guard let value = table[key] else { return nil }
        guard let flag = value.bool else { throw wrong(place + [key], "must be true or false") }
        return flag
    }

    /// Reads a string or a list of strings.
    private func strings(_ table: TOMLTable, _ key: String, at place: [String]) throws(RegistryError) -> [String] {
        guard let value = table[key] else { return [] }
        if let text = value.string { return [text] }
        guard let list = value.array else { throw wrong(place + [key], "must be a string or a list of strings") }
        let texts = list.compactMap { $0.string }
        guard texts.count == list.count else { throw wrong(place + [key], "must hold strings only") }
        return texts
    }

    private func file(_ name: String) -> TLSSettings.File {
        stamp(name.hasPrefix("/") ? name : directory + "/" + name)
    }

    private func wrong(_ place: [String], _ what: String) -> RegistryError {
        let line = outline.line(of: place).map { ":\($0)" } ?? ""
        return RegistryError(.configuration, "\(path)\(line): \(place.last ?? "file"): \(what)")
    }
}

/// A parser of durations in Go's notation (`time.ParseDuration`): `1h30m`, `1.5s`, `300ms`.
enum GoDuration {
    private static let units: [(name: String, nanoseconds: Double)] = [
        ("ns", 1), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9),
    ]

    /// Parses `text`. Returns `nil` if `text` is malformed, negative, or longer than a day.
    static func parse(_ text: String) -> Duration? {
        if text == "0" { return .zero }
        var rest = text[...]
        var total = 0.0
        while !rest.isEmpty {
            let number = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
            rest = rest.dropFirst(number.count)
            let name = rest.prefix { !($0.isASCII && ($0.isNumber || $0 == ".")) }
            rest = rest.dropFirst(name.count)
            guard let value = Double(number), let unit = units.first(where: { $0.name == name }) else { return nil }
            total += value * unit.nanoseconds
        }
        guard !text.isEmpty, total <= 86400e9 else { return nil }
        return .nanoseconds(Int64(total))
    }
}
