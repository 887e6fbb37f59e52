import Foundation
import NIOPosix

/// One finished run of the `rivulet` executable that was built with this test.
struct RivuletProcess: Sendable {
    let code: Int32
    let output: [UInt8]
    let errors: String
    /// The duration of the run.
    let elapsed: Duration

    var text: String { String(decoding: output, as: UTF8.self) }
    /// The cells of a table, line by line.
    var cells: [[String]] {
        text.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
    }

    /// The path of `rivulet`, beside the test's own executable.
    private static var executable: URL {
        get throws {
            let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
            return URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent("rivulet")
        }
    }

    /// The threads that wait for a process. `AdminServer` answers on `NIOThreadPool.singleton`. A wait on that pool
    /// could occupy the last thread that could answer.
    private static let threads: NIOThreadPool = {
        let pool = NIOThreadPool(numberOfThreads: 4)
        pool.start()
        return pool
    }()

    /// Runs the program to its end on another thread, so that a server in this process can answer it.
    ///
    /// A test that blocked its own thread could block the last thread of the cooperative pool. The input and each of
    /// the outputs must fit into a pipe (64 KiB).
    ///
    /// - Parameters:
    ///   - arguments: the words after the program's name.
    ///   - input: the standard input; `nil` for none.
    ///   - environment: variables to add to this process's environment.
    ///   - directory: the working directory; `nil` for this process's own.
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
