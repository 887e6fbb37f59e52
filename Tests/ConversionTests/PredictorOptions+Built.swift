import Prediction
import TestSupport

extension PredictorOptions {
    /// Returns options whose program was built with this test.
    static func built(_ name: String = "rivulet") throws -> PredictorOptions {
        var options = PredictorOptions()
        options.program = try BuiltProgram.path(name)
        options.turnProcessorTime = .milliseconds(500)
        return options
    }
}
