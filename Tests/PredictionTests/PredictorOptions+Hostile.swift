import Prediction
import TestSupport

extension PredictorOptions {
    /// The options for an analyzer that does what the files of an image say, with short limits.
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
