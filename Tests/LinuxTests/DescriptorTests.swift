import Glibc
import Linux
import SystemPackage
import Testing

/// How many descriptors this process has open.
func openDescriptors() throws -> Int {
    // The listing itself takes one.
    try Sys.list("/proc/self/fd").count - 1
}

@Suite struct DescriptorTests {
    /// In a process of its own: elsewhere another test may be given the number at once.
    @Test func closesOnce() async {
        await #expect(processExitsWith: .success) {
            let raw: Int32
            do {
                let file = try Sys.open("/dev/null", .readOnly)
                raw = file.raw
                precondition(try Sys.fstat(raw).kind == .character)
            }
            precondition((try? Sys.fstat(raw)) == nil, "deinit did not close")

            let released = try Sys.open("/dev/null", .readOnly).release()
            precondition(try Sys.fstat(released).kind == .character, "release closed")
            _ = OwnedDescriptor(taking: released)
            precondition((try? Sys.fstat(released)) == nil, "the new owner did not close")
        }
    }

    @Test func everyDescriptorClosesOnExec() throws {
        let file = try Sys.open("/dev/null", .readOnly)
        let memory = try Sys.memoryFile("probe")
        for raw in [file.raw, memory.raw] {
            let flags = try String(decoding: Sys.readFile("/proc/self/fdinfo/\(raw)", limit: 4096), as: UTF8.self)
                .split(separator: "\n").first { $0.hasPrefix("flags:") }
            let value = try #require(flags?.split(separator: "\t").last.flatMap { Int32($0, radix: 8) })
            #expect(value & O_CLOEXEC != 0)
        }
    }

    /// In a process of its own: other tests open and close descriptors meanwhile.
    @Test func nothingLeaks() async throws {
        await #expect(processExitsWith: .success) {
            try withTemporaryDirectory { directory in
                let before = try openDescriptors()
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
                let after = try openDescriptors()
                precondition(before == after, "\(after - before) descriptors leaked")
            }
        }
    }

    @Test func flockIsExclusive() throws {
        try withTemporaryDirectory { directory in
            let path = directory + "/lock"
            let first = try Sys.open(path, [.readWrite, .create])
            #expect(try Sys.tryLock(first.raw))
            do {
                let second = try Sys.open(path, .readWrite)
                #expect(try !Sys.tryLock(second.raw))
                #expect(try !Sys.tryLock(second.raw, exclusive: false))
            }
            _ = OwnedDescriptor(taking: first.release())
            let third = try Sys.open(path, .readWrite)
            #expect(try Sys.tryLock(third.raw))
        }
    }
}
