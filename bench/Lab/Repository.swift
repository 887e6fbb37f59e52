import Linux

/// Where things are in the source tree that this was built from.
public enum Repository {
    /// The directory of `Package.swift`.
    public static let root: String = {
        let parts = #filePath.split(separator: "/").dropLast(3)
        return "/" + parts.joined(separator: "/")
    }()

    /// An executable of the package, which lies beside the one that runs.
    public static func product(_ name: String) throws(LabError) -> String {
        let own: [UInt8]
        do {
            own = try Sys.readLink("/proc/self/exe")
        } catch {
            throw LabError(.files, "the running program cannot be found", cause: error)
        }
        let directory = String(decoding: own, as: UTF8.self).split(separator: "/").dropLast().joined(separator: "/")
        let path = "/\(directory)/\(name)"
        guard Files.exists(path) else {
            throw LabError(.cannotStart, "\(path) is not there: build it first (swift build --product \(name))")
        }
        return path
    }
}
