import Glibc
import Linux
import SystemPackage
import Testing

/// Control groups of the kernel. Needs root and a mounted control group file system of version 2.
@Suite(.serialized) struct PrivilegedControlGroupTests {
    private static let limits = ControlGroup.Limits(memory: 64 << 20, processorWeight: 50, processes: 8)

    /// Runs `body` with a process in a new group, whose directory it gets.
    private func withGroup(_ body: (_ directory: String, _ process: Int32) throws -> Void) throws {
        let mount = try #require(try Sys.mounts().first { $0.fileSystem == "cgroup2" }).mountPoint
        let directory = "\(mount)/rivulet-test-\(getpid())"
        try Sys.makeDirectory(directory)
        var words: [UnsafeMutablePointer<CChar>?] = [strdup("/bin/sleep"), strdup("60"), nil]
        defer { words.forEach { free($0) } }
        var child: pid_t = 0
        #expect(posix_spawn(&child, "/bin/sleep", nil, nil, &words, environ) == 0)
        defer {
            kill(child, SIGKILL)
            var status: Int32 = 0
            waitpid(child, &status, 0)
            for name in ["/daemon", "/analyzer", ""] { rmdir(directory + name) }
        }
        try ControlGroup(path: directory).add(child)
        try body(directory, child)
    }

    private func group(of process: Int32) throws -> Substring? {
        String(decoding: try Sys.readFile("/proc/\(process)/cgroup", limit: 1 << 16), as: UTF8.self)
            .split(separator: "\n").first { $0.hasPrefix("0::") }
    }

    @Test("changes nothing in a group that nobody has handed over") func keepsForeignGroup() throws {
        try withGroup { directory, process in
            let made = try ControlGroup.beside(own: "daemon", name: "analyzer", limits: Self.limits, process: process)
            #expect(made == nil)
            #expect(access(directory + "/daemon", F_OK) != 0)
        }
    }

    @Test("moves the process into a group of its own, and finds it again") func makesTwoGroups() throws {
        try withGroup { directory, process in
            try Sys.setExtendedAttribute(directory, named: "trusted.delegate", to: Array("1".utf8))
            for _ in 0..<2 {
                let made = try ControlGroup.beside(
                    own: "daemon", name: "analyzer", limits: Self.limits, process: process)
                #expect(made?.path == directory + "/analyzer")
                #expect(try group(of: process)?.hasSuffix("/daemon") == true)
            }
            try ControlGroup(path: directory + "/analyzer").add(process)
            #expect(try group(of: process)?.hasSuffix("/analyzer") == true)
        }
    }
}
