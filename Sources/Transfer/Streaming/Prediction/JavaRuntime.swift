import Base

/// What every start of a Java runtime reads beside what it is linked with, none of which it names before it gets there: the launcher
/// loads the virtual machine by its place (JDK 9 and later: JEP 220, "Modular Run-Time Images"; JEP 341, "Default CDS Archives").
enum JavaRuntime {
    /// Files below the runtime's directory, and how much of each is sure to be read, in the order of their use.
    private static let parts: [(path: String, count: UInt64)] = [
        ("lib/libjli.so", .max), ("lib/jvm.cfg", .max), ("lib/server/libjvm.so", .max), ("lib/modules", 1 << 20),
        ("lib/server/classes.jsa", .max), ("lib/libjimage.so", .max), ("lib/libjava.so", .max),
        ("conf/security/java.security", .max), ("lib/libzip.so", .max), ("lib/libnio.so", .max),
        ("lib/libnet.so", .max),
    ]

    /// The parts of the runtime whose launcher `executable` is; none when it is no launcher of one.
    static func startup(_ executable: ImageFile, in files: ImageFiles) -> [(file: ImageFile, part: ByteRange)] {
        guard executable.name == "java" else { return [] }
        let home = ImagePath.parent(of: executable.directory)
        return parts.compactMap { path, count in
            files.file("\(home)/\(path)").map { ($0, ByteRange(offset: 0, end: min(count, $0.range.count))) }
        }
    }
}
