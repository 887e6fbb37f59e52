public import LazyFileSystem

extension LazyFileSystem {
    /// Looks up a name, as ``lookup(_:_:)`` does.
    public func lookup(_ directory: NodeID, _ name: String) throws(LazyFileSystemError) -> LookupResult {
        let bytes = Array(name.utf8)
        let outcome = bytes.withUnsafeBytes { bytes in
            Result { () throws(LazyFileSystemError) in try lookup(directory, bytes) }
        }
        return try outcome.get()
    }

    /// Returns the status of the node `name` in `directory`; `nil` if there is none.
    public func find(_ directory: NodeID, _ name: String) throws -> NodeStatus? {
        guard case .found(let status) = try lookup(directory, name) else { return nil }
        return status
    }

    /// Returns all names of a directory from `cookie` on. Each call lists at most `step` entries.
    public func names(_ directory: NodeID, from cookie: UInt64 = 0, step: Int = .max) throws -> [String] {
        var names: [String] = []
        var cookie = cookie
        while true {
            var taken = 0
            try list(directory, from: cookie) { entry in
                guard taken < step else { return false }
                names.append(String(decoding: entry.name, as: UTF8.self))
                cookie = entry.next
                taken += 1
                return true
            }
            if taken == 0 { return names }
        }
    }
}

extension StoreFixture {
    /// Returns the status of a path in the chain with the lowest slot.
    public func status(_ path: String) throws -> NodeStatus {
        var chain: NodeID?
        try fileSystem.list(.root, from: 3) { entry in
            chain = entry.node
            return false
        }
        guard let chain else { throw Child.Failure(what: "no chain is mounted") }
        var status = try fileSystem.status(chain)
        for name in path.split(separator: "/") {
            guard let next = try fileSystem.find(status.id, String(name)) else {
                throw Child.Failure(what: "\(path) is not there")
            }
            status = next
        }
        return status
    }
}
