/// A parser of the absolute paths in a settings file. Such paths name included files, certificates, and tables of MIME
/// types.
///
/// One parser suffices, because all formats write a path alike: as a word that begins with a slash.
public enum SettingsFile {
    /// The file name endings of settings files.
    private static let endings = [".conf", ".cnf", ".cfg", ".ini", ".toml", ".yaml", ".yml", ".properties", ".xml"]
    /// The size in bytes of the largest settings file to analyze. A larger file is data.
    static let largest: UInt64 = 256 << 10
    /// The maximum number of paths that the parser takes from one file.
    private static let maximumPaths = 64
    private static let longestPath = 1024

    static func isNamed(_ name: Substring) -> Bool { endings.contains { name.hasSuffix($0) } }

    /// Returns the paths in the order in which they appear in the file. Ignores lines that begin with `#` or `;`, which
    /// are comments. A path may contain a `*`.
    public static func paths(in bytes: [UInt8]) -> [String] {
        var paths: [String] = []
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            guard let first = line.first(where: { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t") }),
                first != UInt8(ascii: "#"), first != UInt8(ascii: ";")
            else { continue }
            for word in line.split(whereSeparator: { !isInPath($0) }) {
                guard word.first == UInt8(ascii: "/"), word.count > 1, word.count <= longestPath else { continue }
                paths.append(String(decoding: word, as: UTF8.self))
                guard paths.count < maximumPaths else { return paths }
            }
        }
        return paths
    }

    private static func isInPath(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "/._-+@%*~".utf8.contains(byte)
        }
    }
}
