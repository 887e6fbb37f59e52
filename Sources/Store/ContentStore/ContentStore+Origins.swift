public import Base
import Linux
import SystemPackage

/// Origins: notes on layers whose index this node did not make from the blob itself.
///
/// The store keeps an origin beside the index until an audit. A layer that fails the audit is refused and not installed
/// again.
extension ContentStore {
    /// The size limit of an origin file, in bytes.
    private static let maximumOrigin = 4096

    /// Returns the origin that the layer was installed with; `nil` if there was none or it has been settled.
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

    /// Deletes the origin and the gaps of a layer whose audit succeeded, so that the audit is not repeated.
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

    /// Marks a layer that failed its audit, so that nobody uses it from now on. Current users are not interrupted.
    public func refuse(_ blob: Digest) throws(ContentStoreError) {
        let path = refusal(of: blob)
        try ContentStoreError.wrapping("cannot write \(path)") { () throws(Errno) in
            let file = try Sys.open(path, [.writeOnly, .create])
            try Sys.fsync(file.raw)
            try Sys.syncDirectory(root + "/refused")
        }
    }

    /// Returns true if ``refuse(_:)`` was called for the layer, by this process or an earlier one.
    ///
    /// To lift the refusal, delete the file `refused/<digest>`.
    public func isRefused(_ blob: Digest) throws(ContentStoreError) -> Bool {
        let path = refusal(of: blob)
        return try ContentStoreError.wrapping("cannot look at \(path)") { () throws(Errno) in try Sys.exists(path) }
    }

    private func refusal(of blob: Digest) -> String { "\(root)/refused/\(blob.hex)" }
}
