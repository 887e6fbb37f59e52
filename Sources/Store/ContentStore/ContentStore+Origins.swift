public import Base
import Linux
import SystemPackage

/// The origins of layers.
///
/// An origin is a short record of where a layer's index came from. A layer has an origin if a streaming artifact
/// described the layer and audits are enabled. The audit later compares the complete layer with its image. The store
/// keeps the origin beside the index until the audit succeeds. A layer that fails the audit is refused: callers must
/// not install or use the layer again.
extension ContentStore {
    /// The maximum size of an origin in bytes.
    private static let maximumOrigin = 4096

    /// Returns the origin that the layer was installed with. Returns `nil` if there was no origin, or if the audit has
    /// succeeded.
    public func origin(of layer: StoredLayer) throws(ContentStoreError) -> [UInt8]? {
        let path = layerDirectory(layer.key) + "/origin"
        do throws(Errno) {
            return try Sys.readFile(path, limit: Self.maximumOrigin)
        } catch .noSuchFileOrDirectory {
            return nil
        } catch {
            throw ContentStoreError(errno: error, "cannot read \(path)")
        }
    }

    /// Deletes the origin and the ``TarSplitLog`` of a layer whose audit succeeded, so that the audit is not repeated.
    public func settleOrigin(of layer: StoredLayer) throws(ContentStoreError) {
        layer.gaps?.close()
        for path in ["/origin", "/gaps"].map({ layerDirectory(layer.key) + $0 }) {
            try ContentStoreError.wrapping("cannot delete \(path)") { () throws(Errno) in
                do throws(Errno) {
                    try Sys.unlink(path)
                } catch .noSuchFileOrDirectory {}
            }
        }
    }

    /// Marks a layer as refused, because the layer failed its audit. Callers check ``isRefused(_:)`` before they open a
    /// layer. An open layer stays usable.
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
