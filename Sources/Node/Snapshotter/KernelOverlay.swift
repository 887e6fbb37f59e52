import Linux

/// The options that this kernel's overlay file system needs.
enum KernelOverlay {
    /// Returns the options, as far as this kernel knows them.
    ///
    /// - `index=off`: with an index of copied-up files, an upper directory is tied to the lower directories of its
    ///   first mount. A later mount on other lower directories then fails with ESTALE, even if their contents are the
    ///   same.
    /// - `xino=on`: all files of a mount have one device number, although the remote layers lie on another file system
    ///   than the upper directory. Otherwise `du -x`, `find -xdev` and backup tools leave files out. The inode numbers
    ///   of remote layers have at most 60 bits, which leaves the kernel room for the number of the layer.
    static func mountOptions() -> [String] {
        [("index", "index=off"), ("xino_auto", "xino=on")].compactMap { parameter, option in
            (try? Sys.exists("/sys/module/overlay/parameters/\(parameter)")) == true ? option : nil
        }
    }
}
