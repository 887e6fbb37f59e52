import Linux

/// The options for every overlay mount on this kernel.
enum KernelOverlay {
    /// Returns the following options, without those that this kernel does not support.
    ///
    /// - `index=off`: turns off overlayfs' index of copied-up files. With this index, the kernel ties an upper
    ///   directory to the lower directories of its first mount. A later mount on other lower directories fails with
    ///   ESTALE, even if their contents are the same.
    /// - `xino=on`: gives all files of a mount one device number, although a merged tree lies on another file system
    ///   than the upper directory. With several device numbers, `du -x`, `find -xdev` and backup tools leave files out.
    ///   With this option, the kernel puts a number for the file's file system into the top bits of each inode number.
    ///   These bits are free, because the inode numbers in merged trees have at most 60 bits.
    static func mountOptions() -> [String] {
        [("index", "index=off"), ("xino_auto", "xino=on")].compactMap { parameter, option in
            (try? Sys.exists("/sys/module/overlay/parameters/\(parameter)")) == true ? option : nil
        }
    }
}
