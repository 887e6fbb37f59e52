import Foundation

/// One run of `rivulet`, the operators' command that was built with this test.
struct RivuletProcess {
    let code: Int32
    let output: [UInt8]
    let errors: String

    var text: String { String(decoding: output, as: UTF8.self) }
    /// The cells of a table, line by line.
    var cells: [[String]] {
        text.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
    }

    /// Runs it to its end. Standard input, if it is to have one, must fit into a pipe (64 KiB), as must what it says.
    init(_ arguments: [String], input: [UInt8]? = nil) throws {
        let daemon = URL(fileURLWithPath: try DaemonProcess.executable)
        let process = Process()
        process.executableURL = daemon.deletingLastPathComponent().appendingPathComponent("rivulet")
        process.arguments = arguments
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
        try process.run()
        self.output = Array(try output.fileHandleForReading.readToEnd() ?? Data())
        self.errors = String(decoding: try errors.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        code = process.terminationStatus
    }

    /// The value of its JSON.
    func decoded<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
        try JSONDecoder().decode(type, from: Data(output))
    }
}
