import Glibc
import LazyFixtures
import Linux

/// The timed operations.
extension MountBench {
    static func statAll(_ root: String, _ names: [String]) throws {
        for name in names { _ = try Sys.stat("\(root)/\(name)") }
    }

    static func listAll(_ root: String) throws {
        for index in 0..<directories {
            guard try Sys.list("\(root)/d\(index)").count == filesPerDirectory else {
                throw Child.Failure(what: "\(root)/d\(index) lists wrongly")
            }
        }
    }

    static func readAll(_ root: String, _ names: [String]) throws {
        var buffer = [UInt8](repeating: 0, count: 4096)
        for name in names {
            let file = try Sys.open("\(root)/\(name)", .readOnly)
            let count = try buffer.withUnsafeMutableBytes { try Sys.read(file.raw, into: $0) }
            guard count == 4096 else { throw Child.Failure(what: "\(root)/\(name) is short") }
        }
    }

    static func readBig(_ root: String, size: Int) throws {
        let file = try Sys.open(root + "/big", .readOnly)
        var buffer = [UInt8](repeating: 0, count: size)
        var offset = 0
        while offset < bigBytes {
            let count = try buffer.withUnsafeMutableBytes { try Sys.pread(file.raw, into: $0, at: UInt64(offset)) }
            guard count > 0 else { throw Child.Failure(what: "\(root)/big is short") }
            offset += count
        }
    }

    /// Reads `count` pieces of `size` bytes. Each read is one request, without caching and read-ahead.
    static func readDirect(_ path: String, size: Int, count: Int) throws {
        let file = try Sys.open(path, .direct)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 4096)
        defer { buffer.deallocate() }
        for index in 0..<count {
            // The pieces are out of order, so that the next one cannot be predicted.
            let place = UInt64(index &* 7919 % (bigBytes / size)) * UInt64(size)
            guard try Sys.pread(file.raw, into: buffer, at: place) == size else {
                throw Child.Failure(what: "\(path) is short")
            }
        }
    }

    static func dropPages(_ path: String) throws {
        let file = try Sys.open(path, .readOnly)
        _ = posix_fadvise(file.raw, 0, 0, Int32(POSIX_FADV_DONTNEED))
    }

    /// Drops names and attributes from the kernel's caches, but keeps file content.
    static func dropCaches() throws {
        let file = try Sys.open("/proc/sys/vm/drop_caches", .writeOnly)
        try Array("2\n".utf8).withUnsafeBytes { try Sys.writeAll(file.raw, $0) }
    }

    /// A table of figures.
    struct Table {
        private var lines: [String]

        init(_ columns: [String]) {
            lines = [Self.pad("", 42) + columns.map { Self.pad($0, 20) }.joined()]
        }

        mutating func row(_ title: String, _ values: [Double], scale: Double) {
            lines.append(Self.pad(title, 42) + values.map { Self.pad(MountBench.text($0 / scale), 20) }.joined())
        }

        func print() {
            for line in lines { Swift.print(line) }
        }

        private static func pad(_ text: String, _ width: Int) -> String {
            text + String(repeating: " ", count: max(0, width - text.count))
        }
    }
}
