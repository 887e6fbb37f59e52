import Base
import Concurrency
import Logging
import NIOPosix

/// The hosts of each upstream (the registry that an image's name states), from containerd's `hosts.toml` directories. A
/// lookup first checks the upstream's files for changes, unless the last check was less than ``lookInterval`` ago.
final class HostDirectory: Sendable {
    /// The time for which the client uses a cached listing without checking the listing's files for changes.
    static let lookInterval: Duration = .seconds(3)
    /// The maximum number of upstreams with a cached listing.
    private static let maximumEntries = 1024

    private struct Entry {
        var listing: HostListing
        var looked: MonotonicTime
    }

    private let roots: [String]
    private let clock: any TimeSource
    private let logger: Logger
    private let entries = Guarded(BoundedCache<String, Entry>(capacity: maximumEntries))

    init(_ roots: [String], clock: any TimeSource, logger: Logger) {
        self.roots = roots
        self.clock = clock
        self.logger = logger
    }

    func hosts(for upstream: String) async -> [RegistryHost] {
        guard !roots.isEmpty else { return [RegistryHost.upstream(upstream)] }
        let now = clock.now
        let known = entries.withLock { $0[upstream] }
        if let known, known.looked.duration(to: now) < Self.lookInterval { return known.listing.hosts }
        let roots = roots
        let listing: HostListing
        do {
            // Read on another thread. The disk may be slow, and must not block an event loop or the cooperative pool.
            listing = try await NIOThreadPool.singleton.runIfActive {
                if let known, known.listing.isCurrent { return known.listing }
                return HostListing.read(roots: roots, upstream: upstream)
            }
        } catch {
            return known?.listing.hosts ?? [RegistryHost.upstream(upstream)]
        }
        if let problem = listing.problem, problem.message != known?.listing.problem?.message {
            logger.error("ignoring hosts.toml", metadata: ["registry": "\(upstream)", "error": "\(problem)"])
        }
        entries.withLock { $0[upstream] = Entry(listing: listing, looked: now) }
        return listing.hosts
    }

    /// Returns the names of the upstreams that have a directory in one of the configured root directories.
    func upstreams() async -> [String] {
        let roots = roots
        let found = try? await NIOThreadPool.singleton.runIfActive { HostListing.upstreams(roots: roots) }
        return found ?? []
    }
}

/// The hosts of one upstream, as read from the `hosts.toml` directories at one time.
public struct HostListing: Sendable {
    /// The hosts in configured order: the mirrors of `hosts.toml`, then its `server` or the upstream.
    public private(set) var hosts: [RegistryHost]
    /// The error that makes `hosts.toml` unusable; `nil` if there is none. After an error, ``hosts`` contains only the
    /// upstream. The upstream's certificates then come from the directory of `hosts.toml`, as in containerd.
    public private(set) var problem: RegistryError?
    /// The stamps (inode, size and modification time) of all paths that affect the listing, keyed by path. A stamp is
    /// `nil` if the path did not exist. Such paths are included, because a file may appear there later.
    private var seen: [String: SmallFile.Stamp?] = [:]

    /// The largest accepted `hosts.toml`, in bytes.
    private static let maximumSize = 1 << 20

    /// True if none of the paths has changed since the listing was read.
    var isCurrent: Bool {
        seen.allSatisfy { SmallFile.stamp($0.key) == $0.value }
    }

    /// Reads the hosts of `upstream` as containerd does.
    ///
    /// The first of `roots` that has a directory for the upstream wins. In each root the method looks for the
    /// directories `<host>_<port>_`, `<host>:<port>` and `_default`, in this order. For an upstream without a port, it
    /// looks for `<host>` and `_default`. If `hosts.toml` is malformed, ``problem`` contains the error, and the listing
    /// treats the file as missing.
    public static func read(roots: [String], upstream: String) -> HostListing {
        var listing = HostListing(hosts: [])
        // A text that is not a host name must not become part of a path.
        guard ReferenceGrammar.isDomain(upstream[...]), let directory = listing.find(roots, upstream) else {
            listing.hosts = [RegistryHost.upstream(upstream)]
            return listing
        }
        listing.load(directory, upstream)
        return listing
    }

    /// Returns the names of the upstreams that have a directory in `roots`.
    static func upstreams(roots: [String]) -> [String] {
        var found: Set<String> = []
        for root in roots {
            for name in SmallFile.names(in: root) where SmallFile.stamp("\(root)/\(name)")?.isDirectory == true {
                let upstream = upstream(ofDirectory: name)
                if ReferenceGrammar.isDomain(upstream[...]) { found.insert(upstream) }
            }
        }
        return found.sorted()
    }

    /// Returns the upstream that a directory's name stands for: `host:port` for `host_port_`, else the name itself. The
    /// caller drops `_default`, `.` and `..`, because they are not domains.
    private static func upstream(ofDirectory name: String) -> String {
        guard name.hasSuffix("_"), let underscore = name.dropLast().lastIndex(of: "_") else { return name }
        return "\(name[..<underscore]):\(name[name.index(after: underscore)...].dropLast())"
    }

    private init(hosts: [RegistryHost]) {
        self.hosts = hosts
    }

    private mutating func look(_ path: String) -> SmallFile.Stamp? {
        let stamp = SmallFile.stamp(path)
        seen[path] = .some(stamp)
        return stamp
    }

    private mutating func find(_ roots: [String], _ upstream: String) -> String? {
        for root in roots {
            var names = [upstream, "_default"]
            if let port = Authority.port(of: upstream), let colon = upstream.lastIndex(of: ":") {
                names.insert("\(upstream[..<colon])_\(port)_", at: 0)
            }
            for name in names where look("\(root)/\(name)")?.isDirectory == true {
                return "\(root)/\(name)"
            }
        }
        return nil
    }

    private mutating func load(_ directory: String, _ upstream: String) {
        let path = directory + "/hosts.toml"
        _ = look(path)
        do throws(RegistryError) {
            if let text = try Self.text(path) {
                var files: [TLSSettings.File] = []
                hosts = try HostsFile.hosts(text, path: path, upstream: upstream) { name in
                    let file = TLSSettings.File(path: name, modified: SmallFile.stamp(name)?.modified ?? 0)
                    files.append(file)
                    return file
                }
                for file in files { _ = look(file.path) }
                return
            }
        } catch {
            problem = error
        }
        hosts = [certificates(directory, upstream)]
    }

    /// Reads a file as text. Returns `nil` if the file is missing or empty.
    private static func text(_ path: String) throws(RegistryError) -> String? {
        let bytes: [UInt8]
        do throws(SmallFile.Failure) {
            bytes = try SmallFile.read(path, limit: maximumSize)
        } catch {
            if error == .missing { return nil }
            throw RegistryError(.configuration, "cannot read \(path)", cause: error)
        }
        guard !bytes.isEmpty else { return nil }
        guard let text = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
            throw RegistryError(.configuration, "\(path) is not UTF-8 text")
        }
        return text
    }

    /// Returns the upstream itself as a host, with the certificates in `directory`. The directory has docker's layout.
    /// A `*.crt` file is a CA certificate. A `*.cert` file is a client certificate if there is a `*.key` file of the
    /// same name.
    private mutating func certificates(_ directory: String, _ upstream: String) -> RegistryHost {
        _ = look(directory)
        var host = RegistryHost.upstream(upstream)
        let names = SmallFile.names(in: directory)
        for name in names {
            let path = directory + "/" + name
            if name.hasSuffix(".crt") {
                host.tls.authorities.append(.init(path: path, modified: look(path)?.modified ?? 0))
            } else if name.hasSuffix(".cert") {
                let key = path.dropLast(5) + ".key"
                guard let stamp = look(String(key)) else { continue }
                host.tls.clientCertificates.append(
                    .init(
                        certificate: .init(path: path, modified: look(path)?.modified ?? 0),
                        key: .init(path: String(key), modified: stamp.modified)))
            }
        }
        return host
    }
}
