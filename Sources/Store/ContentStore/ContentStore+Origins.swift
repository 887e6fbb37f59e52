public import Base
import Linux
import SystemPackage

/// Layers whose index was not made from the blob on this node: the index's origin is kept beside it until an audit, and
/// a layer that fails the audit is not installed again.
extension ContentStore {
    /// The largest note of an origin that is read, in bytes.
    private static let maximumOrigin = 4096

    /// Returns the origin that the layer was installed with; `nil` when there was none, or it is settled.
    public func origin(of layer: StoredLayer) throws(ContentStoreError) -> [UInt8]? {
        let path = layerDirectory(layer.digest) + "/origin"
        do throws(Errno) {
            return try Sys.readFile(path, limit: Self.maximumOrigin)
        } catch .noSuchFileOrDirectory {
            return nil
        } catch {
            throw ContentStoreError(errno: error, "cannot read \(path)")
        }
    }

    /// Records that the layer's audit succeeded: it is not repeated.
    public func settleOrigin(of layer: StoredLayer) throws(ContentStoreError) {
        layer.gaps?.close()
        for path in ["/origin", "/gaps"].map({ layerDirectory(layer.digest) + $0 }) {
            try ContentStoreError.wrapping("cannot delete \(path)") { () throws(Errno) in
                do throws(Errno) {
                    try Sys.unlink(path)
                } catch .noSuchFileOrDirectory {}
            }
        }
    }

    /// The layer is not what it should be: it is not to be used from now on. Who uses it goes on.
    public func refuse(_ blob: Digest) throws(ContentStoreError) {
        let path = refusal(of: blob)
        try ContentStoreError.wrapping("cannot write \(path)") { () throws(Errno) in
            let file = try Sys.open(path, [.writeOnly, .create])
            try Sys.fsync(file.raw)
            try Sys.syncDirectory(root + "/refused")
        }
    }

    /// Returns whether ``refuse(_:)`` was called for the layer, by this process or an earlier one. Deleting the file
    /// `refused/<digest>` takes it back.
    public func isRefused(_ blob: Digest) throws(ContentStoreError) -> Bool {
        let path = refusal(of: blob)
        return try ContentStoreError.wrapping("cannot look at \(path)") { () throws(Errno) in try Sys.exists(path) }
    }

    private func refusal(of blob: Digest) -> String { "\(root)/refused/\(blob.hex)" }
}
