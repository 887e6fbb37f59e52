public import Base
import Linux
import SystemPackage

extension ContentStore {
    /// The disk usage of one layer or chain.
    public struct Usage: Sendable, Equatable {
        /// The layer's ``LayerKey/id`` or the chain's ``ChainKey/id``.
        public let id: Digest
        /// The bytes allocated on the disk, without holes.
        public let allocatedBytes: UInt64
        /// The part of ``allocatedBytes`` that the content file occupies; 0 for a chain.
        public let contentBytes: UInt64
        /// True if the layer or chain was open at the time of the call.
        public let isOpen: Bool
    }

    /// Returns the usage of every layer on the disk, sorted by identifier.
    public func listLayers() throws(ContentStoreError) -> [Usage] {
        try usages("layers") { layers.find($0) != nil }
    }

    /// Returns the usage of every chain on the disk, sorted by identifier.
    public func listChains() throws(ContentStoreError) -> [Usage] {
        try usages("chains") { chains.find($0) != nil }
    }

    /// Returns the usage of one layer; `nil` if it is absent.
    public func usage(ofLayer key: LayerKey) throws(ContentStoreError) -> Usage? {
        try usage(key.id, in: "layers", isOpen: layers.find(key.id) != nil)
    }

    /// Removes a layer with all its files. A missing layer is not an error.
    ///
    /// The caller must make sure that nothing on the node refers to the layer.
    ///
    /// - Throws: `.inUse` if the layer is open.
    public func removeLayer(_ key: LayerKey) throws(ContentStoreError) {
        try layers.removing(key.id) { (layer) throws(ContentStoreError) in
            guard layer == nil else { throw ContentStoreError(.inUse, "layer \(key) is in use") }
            try remove(layerDirectory(key))
            measured.withLock { $0.isStale = true }
            keys.withLock { keys in
                keys[key.blob]?.remove(key)
                if keys[key.blob]?.isEmpty == true { keys[key.blob] = nil }
            }
        }
    }

    /// Removes `directory` with its contents, if it exists. First renames the directory into `installing`, so that no
    /// reader sees a partly removed directory.
    func remove(_ directory: String) throws(ContentStoreError) {
        try ContentStoreError.wrapping("cannot remove \(directory)") { () throws(Errno) in
            guard try Sys.exists(directory) else { return }
            let trash = try Sys.makeTemporaryDirectory(in: root + "/installing", prefix: "old-")
            try Sys.rename(directory, to: trash + "/it", replacing: false)
            try removeTree(trash)
        }
    }

    /// Removes what interrupted installs and removals left in `installing`. Quarantines entries of `layers` and
    /// `chains` whose names are not digests.
    func clean() throws(ContentStoreError) {
        let installing = root + "/installing"
        try ContentStoreError.wrapping("cannot empty \(installing)") { () throws(Errno) in
            for entry in try Sys.list(installing) { try removeTree("\(installing)/\(entry.text)") }
        }
        for part in ["layers", "chains"] {
            let entries = try ContentStoreError.wrapping("cannot list \(root)/\(part)") { () throws(Errno) in
                try Sys.list("\(root)/\(part)")
            }
            for entry in entries where Digest(hex: entry.name) == nil {
                try shelf.move("\(root)/\(part)/\(entry.text)", reason: "its name is not a digest")
            }
        }
    }

    private func usages(_ part: String, _ isOpen: (Digest) -> Bool) throws(ContentStoreError) -> [Usage] {
        let entries = try ContentStoreError.wrapping("cannot list \(root)/\(part)") { () throws(Errno) in
            try Sys.list("\(root)/\(part)")
        }
        var usages: [Usage] = []
        for id in entries.compactMap({ Digest(hex: $0.name) }).sorted() {
            if let usage = try usage(id, in: part, isOpen: isOpen(id)) { usages.append(usage) }
        }
        return usages
    }

    private func usage(_ id: Digest, in part: String, isOpen: Bool) throws(ContentStoreError) -> Usage? {
        let directory = "\(root)/\(part)/\(id.hex)"
        do throws(Errno) {
            var sum = try Sys.lstat(directory).allocatedBytes
            var content: UInt64 = 0
            for entry in try Sys.list(directory) {
                let size = try Sys.lstat("\(directory)/\(entry.text)").allocatedBytes
                sum += size
                if entry.text == "content" { content = size }
            }
            return Usage(id: id, allocatedBytes: sum, contentBytes: content, isOpen: isOpen)
        } catch .noSuchFileOrDirectory {
            // Another thread removed the layer or chain in the meantime.
            return nil
        } catch {
            throw ContentStoreError(errno: error, "cannot look at \(directory)")
        }
    }
}
