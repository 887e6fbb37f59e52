import Glibc
import Linux
import Testing

/// Programs and files for the tests.
enum Tools {
    /// Runs a program to its end, with its output in the file `log`. Returns its exit status, or -1 after a signal.
    static func run(_ arguments: [String], log: String) throws -> Int32 {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        let words = arguments.map { strdup($0) }
        defer { for word in words { free(word) } }
        var child: pid_t = 0
        let code = posix_spawnp(&child, arguments[0], &actions, nil, words + [nil], environ)
        try #require(code == 0, "\(arguments[0]) cannot be started: \(String(cString: strerror(code)))")
        var status: Int32 = 0
        while waitpid(child, &status, 0) == -1 {
            try #require(errno == EINTR)
        }
        return status & 0x7F == 0 ? status >> 8 & 0xFF : -1
    }

    static func write(_ bytes: [UInt8], to path: String) throws {
        let file = try Sys.open(path, [.writeOnly, .create, .truncate])
        try bytes.withUnsafeBytes { try Sys.writeAll(file.raw, $0) }
    }

    /// Creates a file of `size` bytes that is one hole.
    static func makeSparse(_ path: String, size: UInt64) throws {
        let file = try Sys.open(path, [.writeOnly, .create, .truncate])
        try Sys.ftruncate(file.raw, size: size)
    }

    /// Checks an image with `fsck.erofs` (package erofs-utils).
    static func expectSound(_ image: [UInt8], devices: [UInt64], _ comment: Comment) throws {
        try withTemporaryDirectory { directory in
            try write(image, to: "\(directory)/tree.erofs")
            var command = ["fsck.erofs"]
            for (number, size) in devices.enumerated() {
                try makeSparse("\(directory)/device\(number)", size: size)
                command.append("--device=\(directory)/device\(number)")
            }
            let status = try run(command + ["\(directory)/tree.erofs"], log: "\(directory)/log")
            let log = try Sys.readFile("\(directory)/log", limit: 1 << 20)
            #expect(status == 0, "\(String(decoding: log, as: UTF8.self).prefix(2000)): \(comment)")
        }
    }

    /// Mounts an image from its file with mount(2). Each device is a file. Runs `body` with the mount point and the
    /// paths of the devices.
    static func withMounted(_ image: [UInt8], devices: [UInt64], _ body: (String, [String]) throws -> Void) throws {
        try withTemporaryDirectory { directory in
            let point = "\(directory)/mnt"
            try Sys.makeDirectory(point)
            try write(image, to: "\(directory)/tree.erofs")
            var paths: [String] = []
            for (number, size) in devices.enumerated() {
                paths.append("\(directory)/d\(number)")
                try makeSparse(paths[number], size: size)
            }
            let options = paths.map { "device=\($0)" }.joined(separator: ",")
            try Sys.mount("\(directory)/tree.erofs", on: point, type: "erofs", flags: .readOnly, options: options)
            let result = Result { try body(point, paths) }
            try Sys.unmount(point, [.detach, .noFollow])
            try result.get()
        }
    }
}
