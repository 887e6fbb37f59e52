import Foundation
import Prediction

/// Programs that were built with this test: they lie beside the test's own executable.
enum BuiltProgram {
    static func path(_ name: String) throws -> String {
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        return URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent(name).path
    }
}

extension PredictorOptions {
    /// The analyzer that does what the files of an image say, with short limits.
    static var hostile: PredictorOptions {
        get throws {
            var options = PredictorOptions()
            options.program = try BuiltProgram.path("HostileAnalyzer")
            options.turnProcessorTime = .milliseconds(300)
            options.firstDelay = .milliseconds(1)
            options.longestDelay = .milliseconds(50)
            return options
        }
    }
}
