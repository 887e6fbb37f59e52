import Base

/// The durations of ``PlannerConfiguration``, converted once to nanoseconds, the unit of the planner's clock.
struct PlannerTimes: Sendable {
    let hintQuiet: UInt64
    let predictedPackQuiet: UInt64
    let demandTimeout: UInt64
    let demandTimeoutInOutage: UInt64
    let outageMemory: UInt64
    let retryFirst: UInt64
    let retryLongest: UInt64
    let backgroundRetryLongest: UInt64
    let fillQuiet: UInt64
    let fillQuietAfterRead: UInt64
    let fillDelay: UInt64
    let nearbyFillQuiet: UInt64
    let nearbyFillDelay: Double
    let startQuiet: UInt64
    let fillStarvation: UInt64
    let storageFullPause: UInt64
    let recoveryFirstPause: UInt64
    let recoveryLongestPause: UInt64

    init(_ configuration: PlannerConfiguration) {
        hintQuiet = configuration.hintQuiet.wholeNanoseconds
        predictedPackQuiet = configuration.predictedPackQuiet.wholeNanoseconds
        demandTimeout = configuration.demandTimeout.wholeNanoseconds
        demandTimeoutInOutage = configuration.demandTimeoutInOutage.wholeNanoseconds
        outageMemory = configuration.outageMemory.wholeNanoseconds
        retryFirst = configuration.retryFirst.wholeNanoseconds
        retryLongest = configuration.retryLongest.wholeNanoseconds
        backgroundRetryLongest = configuration.backgroundRetryLongest.wholeNanoseconds
        fillQuiet = configuration.fillQuiet.wholeNanoseconds
        fillQuietAfterRead = configuration.fillQuietAfterRead.wholeNanoseconds
        fillDelay = configuration.fillDelay.wholeNanoseconds
        nearbyFillQuiet = configuration.nearbyFillQuiet.wholeNanoseconds
        nearbyFillDelay = Double(configuration.nearbyFillDelay.wholeNanoseconds)
        startQuiet = configuration.startQuiet.wholeNanoseconds
        fillStarvation = configuration.fillStarvation.wholeNanoseconds
        storageFullPause = configuration.storageFullPause.wholeNanoseconds
        recoveryFirstPause = configuration.recoveryFirstPause.wholeNanoseconds
        recoveryLongestPause = configuration.recoveryLongestPause.wholeNanoseconds
    }
}
