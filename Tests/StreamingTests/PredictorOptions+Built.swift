import Prediction
import TestSupport

extension PredictorOptions {
    /// Returns options with a program that was built together with this test.
    static func built(_ name: String = "rivulet") throws -> PredictorOptions {
        var options = PredictorOptions()
        options.program = try BuiltProgram.path(name)
        return options
    }
}
