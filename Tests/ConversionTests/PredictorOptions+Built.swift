import Foundation
import Prediction

extension PredictorOptions {
    /// With a program that was built with this test: it lies beside the test's own executable.
    static func built(_ name: String = "rivulet") throws -> PredictorOptions {
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        var options = PredictorOptions()
        options.program = URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent(name).path
        options.turnProcessorTime = .milliseconds(500)
        return options
    }
}
