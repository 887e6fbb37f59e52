import Base
import Linux
import SystemPackage

/// The layers that the store finds on the disk when it opens.
extension ContentStore {
    /// The maximum size of a layer's `key` file in bytes. The longest part of a key is the name of a repository, at
    /// most 255 characters.
    private static let maximumKey = 1024

    /// Reads the keys of all layers on the disk into ``keys``. Quarantines a directory if it has no readable key, or if
    /// its name is not the ID of its key.
    func findLayers() throws(ContentStoreError) {
        var found: [Digest: Set<LayerKey>] = [:]
        for id in try digests(in: "layers") {
            let directory = "\(root)/layers/\(id.hex)"
            guard let key = try key(in: directory), key.id == id else {
                try shelf.move(directory, reason: "\(directory)/key is not the key of this layer")
                continue
            }
            found[key.blob, default: []].insert(key)
        }
        keys.withLock { $0 = found }
    }

    private func key(in directory: String) throws(ContentStoreError) -> LayerKey? {
        do throws(Errno) {
            return LayerKey(
                text: String(decoding: try Sys.readFile(directory + "/key", limit: Self.maximumKey), as: UTF8.self))
        } catch {
            switch error {
            case .noSuchFileOrDirectory, .notDirectory, .isDirectory, .ioError, .fileTooLarge: return nil
            default: throw ContentStoreError(errno: error, "cannot read \(directory)/key")
            }
        }
    }

    /// Converts a store of version 0.1, whose layers are in `blobs/<digest>` and have no keys. Each layer receives a
    /// key with the pin ``LayerKey/Pin/inherited``, and moves to the directory of that key.
    ///
    /// Removes the old merged trees, because they name layers by blob digest instead of key. The node merges a tree
    /// again when it mounts the chain. After a crash, the next opening of the store continues the conversion.
    func adoptLayersWithoutKeys() throws(ContentStoreError) {
        let old = root + "/blobs"
        let exists = try ContentStoreError.wrapping("cannot look at \(old)") { () throws(Errno) in
            try Sys.exists(old)
        }
        guard exists else { return }
        for id in try digests(in: "chains") { try remove("\(root)/chains/\(id.hex)") }
        let (blobs, refused) = (try digests(in: "blobs"), Set(try digests(in: "refused")))
        for blob in blobs {
            let (directory, key) = ("\(old)/\(blob.hex)", LayerKey(blob, .inherited))
            // Before the move: if the process dies between the two, the next start still finds the layer here.
            if refused.contains(blob) { try refuse(key) }
            try ContentStoreError.wrapping("cannot move \(directory) to \(layerDirectory(key))") { () throws(Errno) in
                if try Sys.exists(layerDirectory(key)) { return }
                let file = try Sys.open(directory + "/key", [.writeOnly, .create, .truncate])
                try Sys.pwriteAll(file.raw, Array(key.description.utf8), at: 0)
                try Sys.fsync(file.raw)
                try Sys.syncDirectory(directory)
                try Sys.rename(directory, to: layerDirectory(key), replacing: false)
            }
        }
        try ContentStoreError.wrapping("cannot remove \(old)") { () throws(Errno) in
            try Sys.syncDirectory(root + "/layers")
            for blob in refused where blobs.contains(blob) { try Sys.unlink("\(root)/refused/\(blob.hex)") }
        }
        try remove(old)
    }

    /// Returns the digests in the names of the entries of `part`, a subdirectory of the store. Skips names that are not
    /// digests.
    func digests(in part: String) throws(ContentStoreError) -> [Digest] {
        try ContentStoreError.wrapping("cannot list \(root)/\(part)") { () throws(Errno) in
            try Sys.list("\(root)/\(part)").compactMap { Digest(hex: $0.name) }
        }
    }
}
