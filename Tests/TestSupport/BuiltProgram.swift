import Linux
public import SystemPackage

/// The programs that were built together with this test, in the directory of the test's own executable.
public enum BuiltProgram {
    public static func path(_ name: String) throws(Errno) -> String {
        let own = try Sys.readLink("/proc/self/exe")
        return String(decoding: own.prefix(upTo: own.lastIndex(of: UInt8(ascii: "/")) ?? 0), as: UTF8.self) + "/" + name
    }
}
