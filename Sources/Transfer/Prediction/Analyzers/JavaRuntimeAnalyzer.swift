public import Base

/// The file analyzer of a Java launcher (the program `java`). It reports the files that every start of a Java runtime
/// reads.
///
/// The launcher does not contain the names of these files, so their list is fixed. The launcher finds the virtual
/// machine at a fixed place (JDK 9 and later: JEP 220, "Modular Run-Time Images"; JEP 341, "Default CDS Archives").
public struct JavaRuntimeAnalyzer: FileAnalyzer {
    /// The files that a start reads, in the order of their use. `path` is relative to the runtime's directory. `count`
    /// is the number of bytes that the runtime is sure to read from the start of the file; `.max` means the whole file.
    private static let parts: [(path: String, count: UInt64)] = [
        ("lib/libjli.so", .max), ("lib/jvm.cfg", .max), ("lib/server/libjvm.so", .max), ("lib/modules", 1 << 20),
        ("lib/server/classes.jsa", .max), ("lib/libjimage.so", .max), ("lib/libjava.so", .max),
        ("conf/security/java.security", .max), ("lib/libzip.so", .max), ("lib/libnio.so", .max),
        ("lib/libnet.so", .max),
    ]

    public init() {}

    public func note(_ file: ImageFile, calledAs path: String, in start: inout StartPrediction) {
        guard file.name == "java" else { return }
        let home = ImagePath.parent(of: file.directory)
        for (path, count) in Self.parts {
            if let file = start.files.file("\(home)/\(path)") { start.want(file, part: file.start(count)) }
        }
    }

    public func part(of file: ImageFile, in start: StartPrediction) -> ByteRange? { nil }

    public func analyze(_ bytes: [UInt8], of file: ImageFile, in start: inout StartPrediction) {}
}
