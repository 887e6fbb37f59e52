import Linux
package import Logging
import SystemPackage

/// The path that containerd's CRI reports to kubelet as the file system of images.
///
/// kubelet deletes images and evicts pods by the free space of this file system. containerd from 1.6.32, 1.7.16 and 2.0
/// on takes the path from `exports.root` in its configuration. Older versions report a directory below their own root,
/// named after the snapshotter, which they do not create. kubelet then sees an image file system without capacity. So
/// the daemon puts a link to its own data there.
package enum ImageFileSystem {
    /// Creates the link. Does nothing if containerd's root is missing, or if something else is in the link's place.
    ///
    /// - Parameters:
    ///   - data: the daemon's data directory.
    ///   - containerdRoot: containerd's `root`.
    ///   - snapshotter: the snapshotter's name in containerd's configuration.
    package static func link(to data: String, in containerdRoot: String, snapshotter: String, logger: Logger) {
        let path = "\(containerdRoot)/io.containerd.snapshotter.v1.\(snapshotter)"
        do throws(Errno) {
            guard try Sys.exists(containerdRoot), !snapshotter.utf8.contains(UInt8(ascii: "/")) else { return }
            if let status = try? Sys.lstat(path) {
                let isOldLink = status.kind == .symlink && (try? Sys.stat(path)) == nil
                guard isOldLink else { return }
                try Sys.unlink(path)
            }
            try Sys.symlink(data, path: path)
        } catch {
            logger.warning(
                "failed to link the image file system for containerd before 1.6.32 and 1.7.16",
                metadata: ["path": "\(path)", "error": "\(error)"])
        }
    }
}
