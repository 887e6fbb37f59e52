public import Base
import Linux

/// The paths in the source tree of this build.
public enum Repository {
    /// The directory that contains `Package.swift`.
    public static let root: String = {
        let parts = #filePath.split(separator: "/").dropLast(3)
        return "/" + parts.joined(separator: "/")
    }()

    /// Returns the path of an executable of this package, which is beside the running one.
    public static func product(_ name: String) throws(LabError) -> String {
        let own: [UInt8]
        do {
            own = try Sys.readLink("/proc/self/exe")
        } catch {
            throw LabError(.files, "cannot find the running program", cause: error)
        }
        let directory = String(decoding: own, as: UTF8.self).split(separator: "/").dropLast().joined(separator: "/")
        let path = "/\(directory)/\(name)"
        guard Files.exists(path) else {
            throw LabError(.cannotStart, "\(path) does not exist: build it first (swift build --product \(name))")
        }
        return path
    }
}
