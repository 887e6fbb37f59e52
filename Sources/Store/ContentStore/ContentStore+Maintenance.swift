public import Base
import Linux
import SystemPackage

extension ContentStore {
    /// The disk space of one layer or chain.
    public struct Usage: Sendable, Equatable {
        /// The blob's digest, or the chain's ID.
        public let digest: Digest
        /// Bytes of allocated blocks: holes are not counted.
        public let allocatedBytes: UInt64
        /// The part of them that is content; 0 for a chain.
        public let contentBytes: UInt64
        /// Set while it is open.
        public let isOpen: Bool
    }

    /// Every layer on the disk, in the order of their digests.
    public func listLayers() throws(ContentStoreError) -> [Usage] {
        try usages("blobs") { layers.find($0) != nil }
    }

    /// Every chain on the disk, in the order of their IDs.
    public func listChains() throws(ContentStoreError) -> [Usage] {
        try usages("chains") { chains.find($0) != nil }
    }

    /// Returns the disk space of one layer; `nil` when it is absent.
    public func usage(ofLayer blob: Digest) throws(ContentStoreError) -> Usage? {
        try usage(blob, in: "blobs", isOpen: layers.find(blob) != nil)
    }

    /// Removes a layer with all its files; none is no error.
    ///
    /// - Throws: `.inUse` when somebody has it open. That nothing on the node refers to it is the caller's to know.
    public func removeLayer(_ blob: Digest) throws(ContentStoreError) {
        try layers.removing(blob) { (layer) throws(ContentStoreError) in
            guard layer == nil else { throw ContentStoreError(.inUse, "layer \(blob) is in use") }
            try remove(layerDirectory(blob))
        }
    }

    /// Removes `directory`: out of its place in one step first, so that nobody ever sees half of it.
    func remove(_ directory: String) throws(ContentStoreError) {
        try ContentStoreError.wrapping("cannot remove \(directory)") { () throws(Errno) in
            guard try Sys.exists(directory) else { return }
            let trash = try Sys.makeTemporaryDirectory(in: root + "/installing", prefix: "old-")
            try Sys.rename(directory, to: trash + "/it", replacing: false)
            try removeTree(trash)
        }
    }

    /// Clears away what a crash left half made or half removed, and what is not ours.
    func clean() throws(ContentStoreError) {
        let installing = root + "/installing"
        try ContentStoreError.wrapping("cannot empty \(installing)") { () throws(Errno) in
            for entry in try Sys.list(installing) { try removeTree("\(installing)/\(entry.text)") }
        }
        for part in ["blobs", "chains"] {
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
        for digest in entries.compactMap({ Digest(hex: $0.name) }).sorted() {
            if let usage = try usage(digest, in: part, isOpen: isOpen(digest)) { usages.append(usage) }
        }
        return usages
    }

    private func usage(_ digest: Digest, in part: String, isOpen: Bool) throws(ContentStoreError) -> Usage? {
        let directory = "\(root)/\(part)/\(digest.hex)"
        do throws(Errno) {
            var sum = try Sys.lstat(directory).allocatedBytes
            var content: UInt64 = 0
            for entry in try Sys.list(directory) {
                let size = try Sys.lstat("\(directory)/\(entry.text)").allocatedBytes
                sum += size
                if entry.text == "content" { content = size }
            }
            return Usage(digest: digest, allocatedBytes: sum, contentBytes: content, isOpen: isOpen)
        } catch .noSuchFileOrDirectory {
            // Removed while we looked.
            return nil
        } catch {
            throw ContentStoreError(errno: error, "cannot look at \(directory)")
        }
    }
}
