import Base
public import Lab

/// Takes one sample. Every measurement of a pod uses this type.
public struct SampleRunner: Sendable {
    public let lab: Lab
    public let image: ServedImage
    public let link: Link
    public let programs: Programs
    /// The needs, for a mode that streams exactly these.
    public var needs: Needs?
    /// True if the sample waits, after readiness, until the whole image is local.
    public var waitsForComplete = false
    /// The display of the current step.
    public var progress: ProgressDisplay
    /// The prefix of progress messages.
    public var label = ""
    /// The time limit for a pod to be ready, in seconds.
    ///
    /// `nil` means two minutes, or on a slow link five times the image's transfer time.
    public var limit: UInt64?

    public init(lab: Lab, image: ServedImage, link: Link, programs: Programs, progress: ProgressDisplay) {
        self.lab = lab
        self.image = image
        self.link = link
        self.programs = programs
        self.progress = progress
    }

    /// Runs the pod from cold, and removes everything in any case.
    public func run(_ mode: any Mode) async throws -> Sample {
        step(mode, "starting")
        return try await Node.with(
            mode.name, in: lab, snapshotter: try mode.snapshotter(programs), registry: image.registry,
            pauseArchive: image.pauseArchive
        ) { node in
            let setting = Setting(
                lab: lab, node: node, image: image, form: mode.form, link: link, needs: needs,
                seconds: limit ?? Self.limit(link, image.size(mode.form)))
            step(mode, "preparing")
            try await mode.prepare(setting)
            try await blocking { [image] in
                try PageCache.drop()
                try image.warm(mode.form)
            }
            return try await measure(mode, setting)
        }
    }

    /// Runs the pod like ``run(_:)``, and returns a line of a results file, even if the sample failed.
    /// - Throws: only during a teardown, whose failures are not results.
    public func record(
        _ mode: any Mode, as key: SampleRecord.Key, floor: Double? = nil
    ) async throws -> SampleRecord {
        let began = MonotonicTime.now()
        func took() -> Double { Double(MonotonicTime.now().since(began)) / 1e9 }
        let total = image.size(mode.form)
        do {
            let sample = try await run(mode)
            return SampleRecord(key, sample, total: total, floor: floor, took: took())
        } catch {
            if lab.teardown.hasBegun { throw error }
            return SampleRecord(key, failure: error, total: total, floor: floor, took: took())
        }
    }

    private static func limit(_ link: Link, _ bytes: UInt64) -> UInt64 {
        120 + UInt64(5 * link.shape.seconds(for: bytes))
    }

    private func measure(_ mode: any Mode, _ setting: Setting) async throws -> Sample {
        let node = setting.node
        let relay = node.relay
        let figures: @Sendable () -> String = {
            let counts = relay.counts
            return "\(Format.megabytes(counts.bytes)), \(counts.requests) requests"
        }
        let pid = (node.daemon?.process ?? node.containerd.process).pid
        let usageBefore = ProcessUsage(of: pid)
        let relayBefore = try await relay.cpuSeconds()
        try await relay.begin(link)
        let began = MonotonicTime.now()
        try await mode.lead(setting)
        let pod = try await setting.startPod { step(mode, $0, figures) }
        step(mode, "waiting for ready", figures)
        let ready = try await pod.waitUntilReady(image.recipe.probe, seconds: setting.seconds)
        let record = relay.record
        let usage = ProcessUsage(of: pid).map { usage in usage.since(usageBefore) }
        let relayCPU = try await relay.cpuSeconds() - relayBefore
        let foreseen = try await (node.daemon as? RivuletDaemon)?.metrics()
        var complete: MonotonicTime?
        if waitsForComplete {
            step(mode, "waiting for the rest of the image", figures)
            complete = try await mode.complete(setting, pod.marks)
        }
        let timeline = relay.record.timeline
        step(mode, "taking down")
        try await pod.remove()
        let marks = pod.marks
        return Sample(
            sandbox: Self.seconds(marks.asked, marks.sandbox),
            pull: Self.seconds(began, marks.asked) + Self.seconds(marks.sandbox, marks.pulled),
            create: Self.seconds(marks.pulled, marks.created), start: Self.seconds(marks.created, marks.started),
            ready: Self.seconds(began, ready), complete: complete.map { Self.seconds(began, $0) }, began: began,
            record: record, timeline: timeline.map { (Self.seconds(began, $0.at), $0.bytes) }, usage: usage,
            relayCPU: relayCPU, foreseen: foreseen.map { Foreseen($0) })
    }

    private func step(_ mode: any Mode, _ text: String, _ figures: (@Sendable () -> String)? = nil) {
        progress.step("\(label)\(mode.name): \(text)", figures: figures)
    }

    private static func seconds(_ from: MonotonicTime, _ to: MonotonicTime) -> Double {
        Double(to.since(from)) / 1e9
    }
}
