import Glibc
import Linux
import SystemPackage
import Testing

/// Returns the paths of this process's open files below `directory`.
func openFiles(in directory: String) throws -> [String] {
    try Sys.list("/proc/self/fd").compactMap { entry in
        // The listing has closed its own descriptor by now.
        (try? Sys.readLink("/proc/self/fd/\(entry.text)")).map { String(decoding: $0, as: UTF8.self) }
    }.filter { $0.hasPrefix(directory) }
}

/// An error that makes the separate process of an exit test fail.
struct Leak: Error {
    let files: [String]
}

@Suite struct DescriptorTests {
    /// Runs in a separate process: in this one, another test could get the same number at once.
    @Test("closes exactly once") func closesExactlyOnce() async {
        await #expect(processExitsWith: .success) {
            let raw: Int32
            do {
                let file = try Sys.open("/dev/null", .readOnly)
                raw = file.raw
                let kind = try Sys.fstat(raw).kind
                precondition(kind == .character)
            }
            precondition((try? Sys.fstat(raw)) == nil, "deinit did not close")

            let released = try Sys.open("/dev/null", .readOnly).release()
            let kind = try Sys.fstat(released).kind
            precondition(kind == .character, "release closed")
            _ = OwnedDescriptor(taking: released)
            precondition((try? Sys.fstat(released)) == nil, "the new owner did not close")
        }
    }

    @Test("every descriptor closes on exec") func everyDescriptorClosesOnExec() throws {
        let file = try Sys.open("/dev/null", .readOnly)
        let memory = try Sys.memoryFile("probe")
        for raw in [file.raw, memory.raw] {
            let flags = try String(decoding: Sys.readFile("/proc/self/fdinfo/\(raw)", limit: 4096), as: UTF8.self)
                .split(separator: "\n").first { $0.hasPrefix("flags:") }
            let value = try #require(flags?.split(separator: "\t").last.flatMap { Int32($0, radix: 8) })
            #expect(value & O_CLOEXEC != 0)
        }
    }

    /// Runs in a separate process, because other tests open and close descriptors at the same time.
    @Test("leaks no descriptor") func leaksNoDescriptor() async throws {
        await #expect(processExitsWith: .success) {
            try withTemporaryDirectory { directory in
                for round in 0..<50 {
                    let file = try Sys.open("\(directory)/file-\(round)", [.readWrite, .create])
                    try Sys.pwriteAll(file.raw, Array("text".utf8), at: 0)
                    _ = try MappedFile(descriptor: file.raw)
                    _ = try MappedFile(path: "\(directory)/file-\(round)")
                    _ = try Sys.readFile("\(directory)/file-\(round)", limit: 100)
                    _ = try? Sys.readFile("\(directory)/file-\(round)", limit: 2)
                    _ = try? MappedFile(path: directory)
                    _ = try Sys.list(directory)
                    try Sys.makeDirectories("\(directory)/a/b/c")
                    try removeTree("\(directory)/a")
                }
                let files = try openFiles(in: directory)
                guard files.isEmpty else { throw Leak(files: files) }
            }
        }
    }

    @Test("flock is exclusive") func flockIsExclusive() throws {
        try withTemporaryDirectory { directory in
            let path = directory + "/lock"
            let first = try Sys.open(path, [.readWrite, .create])
            #expect(try Sys.tryLock(first.raw))
            let second = try Sys.open(path, .readWrite)
            #expect(try !Sys.tryLock(second.raw))
            #expect(try !Sys.tryLock(second.raw, exclusive: false))
            try Sys.unlock(first.raw)
            #expect(try Sys.tryLock(second.raw))
            #expect(try !Sys.tryLock(first.raw))
        }
    }
}
