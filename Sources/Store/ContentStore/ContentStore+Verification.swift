public import Base
import Linux
import SystemPackage

/// The results of verifying layers.
///
/// A layer is *verified* once the node has put the layer's archive together from the blob's bytes, and has found the
/// files of the layer's index in this archive. The store then keeps the archive's digest, the layer's diff ID. A layer
/// whose archive has other files is *refused*: callers must not install or use the layer again.
extension ContentStore {
    /// The size limit of the file with a diff ID, in bytes.
    private static let maximumVerified = 128

    /// Records that the layer is verified and has the diff ID `diffID`, and deletes the layer's ``TarSplitLog``, which
    /// nothing needs any longer. The record survives a crash of the machine.
    public func markVerified(_ layer: StoredLayer, diffID: Digest) throws(ContentStoreError) {
        let (directory, path) = (layerDirectory(layer.key), layerDirectory(layer.key) + "/verified")
        try ContentStoreError.wrapping("cannot write \(path)") { () throws(Errno) in
            let temporary = path + ".new"
            let file = try Sys.open(temporary, [.writeOnly, .create, .truncate])
            try Sys.pwriteAll(file.raw, Array(diffID.description.utf8), at: 0)
            try Sys.fsync(file.raw)
            try Sys.rename(temporary, to: path, replacing: true)
            try Sys.syncDirectory(directory)
        }
        layer.becomeVerified(diffID)
        try ContentStoreError.wrapping("cannot delete \(directory)/gaps") { () throws(Errno) in
            do throws(Errno) {
                try Sys.unlink(directory + "/gaps")
            } catch .noSuchFileOrDirectory {}
        }
    }

    /// Returns the diff ID that ``markVerified(_:diffID:)`` recorded in `directory`, the directory of a layer. Returns
    /// `nil` if there is no record or if the record is unreadable. After a result of `nil`, the layer is unverified.
    static func verifiedDiffID(in directory: String) -> Digest? {
        (try? Sys.readFile(directory + "/verified", limit: maximumVerified)).flatMap { Digest(utf8: $0) }
    }

    /// Marks a layer as refused, because its index does not describe its blob. Callers check ``isRefused(_:)`` before
    /// they use a layer. Code that already uses the layer is not interrupted.
    public func refuse(_ key: LayerKey) throws(ContentStoreError) {
        let path = refusal(of: key)
        try ContentStoreError.wrapping("cannot write \(path)") { () throws(Errno) in
            let file = try Sys.open(path, [.writeOnly, .create])
            try Sys.fsync(file.raw)
            try Sys.syncDirectory(root + "/refused")
        }
    }

    /// Returns true if ``refuse(_:)`` was called for the layer, by this process or an earlier one.
    ///
    /// To lift the refusal, delete the file `refused/<key>`.
    public func isRefused(_ key: LayerKey) throws(ContentStoreError) -> Bool {
        let path = refusal(of: key)
        return try ContentStoreError.wrapping("cannot look at \(path)") { () throws(Errno) in try Sys.exists(path) }
    }

    /// Returns the path of the file that marks the layer as refused, whether or not it exists.
    public func refusal(of key: LayerKey) -> String { "\(root)/refused/\(key.id.hex)" }
}
