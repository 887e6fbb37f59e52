import Foundation
import NIOPosix

/// One run of the `rivulet` executable built with this test.
struct RivuletProcess: Sendable {
    let code: Int32
    let output: [UInt8]
    let errors: String
    /// The time from its start to its end.
    let elapsed: Duration

    var text: String { String(decoding: output, as: UTF8.self) }
    /// The cells of a table, line by line.
    var cells: [[String]] {
        text.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
    }

    /// The executable beside the test's own.
    private static var executable: URL {
        get throws {
            let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
            return URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent("rivulet")
        }
    }

    /// Threads for waiting. `AdminServer` answers on `NIOThreadPool.singleton`: a process that waited there for an
    /// answer could take its last thread.
    private static let threads: NIOThreadPool = {
        let pool = NIOThreadPool(numberOfThreads: 4)
        pool.start()
        return pool
    }()

    /// Runs it to its end on another thread, so that a server in this process can answer it. A test that blocked its
    /// own thread could block the last one of the cooperative pool.
    ///
    /// Its input and each of its outputs must fit into a pipe (64 KiB).
    ///
    /// - Parameters:
    ///   - arguments: the words after the program's name.
    ///   - input: its standard input; `nil` for none.
    ///   - environment: added to this process's.
    ///   - directory: the working directory; `nil` for this process's.
    static func run(
        _ arguments: [String], input: [UInt8]? = nil, environment: [String: String] = [:], directory: String? = nil
    ) async throws -> RivuletProcess {
        try await threads.runIfActive {
            try RivuletProcess(arguments, input: input, environment: environment, directory: directory)
        }
    }

    private init(
        _ arguments: [String], input: [UInt8]?, environment: [String: String], directory: String?
    ) throws {
        let process = Process()
        process.executableURL = try Self.executable
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }
        if let directory { process.currentDirectoryURL = URL(fileURLWithPath: directory) }
        let output = Pipe()
        let errors = Pipe()
        process.standardOutput = output
        process.standardError = errors
        if let input {
            let pipe = Pipe()
            try pipe.fileHandleForWriting.write(contentsOf: Data(input))
            try pipe.fileHandleForWriting.close()
            process.standardInput = pipe
        } else {
            process.standardInput = FileHandle.nullDevice
        }
        let began = ContinuousClock.now
        try process.run()
        self.output = Array(try output.fileHandleForReading.readToEnd() ?? Data())
        self.errors = String(decoding: try errors.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        code = process.terminationStatus
        elapsed = ContinuousClock.now - began
    }

    /// Decodes the printed JSON.
    func decoded<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
        try JSONDecoder().decode(type, from: Data(output))
    }
}
