import Base
import Concurrency

/// The files of the layers, which are closed when there are too many (``OnDemandFile``).
extension ContentStore {
    /// Closes files of layers while more than ``Options/openFiles`` are open. Files that were not used since the last
    /// call are closed first.
    ///
    /// - Parameter waitsForDisk: true to close also files with bytes that the disk does not have yet. A file is closed
    ///   only after the disk has its bytes, because the kernel reports a failed write to open files.
    package func closeFiles(waitsForDisk: Bool) {
        guard files.count > files.limit else { return }
        closingLock.withLock {
            // Some room is left, so that the next file does not begin all this again.
            let goal = files.limit - files.limit / 8
            for closesUsed in [false, true] {
                let layers = layers.open.sorted { $0.key.id < $1.key.id }
                guard !layers.isEmpty else { return }
                // Every round begins with another layer, so that none pays for all.
                let first = Int(closings.value % UInt64(layers.count))
                closings.add()
                for layer in layers[first...] + layers[..<first] where files.count > goal {
                    // A layer whose disk fails must not keep the others open.
                    try? layer.closeFiles(onlyIdle: !closesUsed, waitsForDisk: waitsForDisk)
                }
            }
        }
    }
}
