import Base

/// The sequential readers of one layer, told apart by their positions.
///
/// A reader that moves from one extent to the next gets a read-ahead window that doubles with each step, as in the
/// Linux kernel. A jump begins a new window. The window's size is the number of bytes of the blob to read ahead of the
/// reader.
///
/// The part of the window beyond the end of the current file grows only when the reader crosses the end of a file.
/// Without this rule, a reader that reads one large file to its end would cause a fetch of 16 MiB from the files after
/// this file.
struct SequentialStreams: Sendable {
    struct Stream: Sendable {
        /// The last extent read.
        var last: Int
        /// The end of the extents that are already scheduled for read-ahead: the number of the last such extent plus 1.
        var scheduledEnd: Int
        /// The number of bytes of the blob to read ahead of the reader.
        var window: UInt64 = 0
        /// The maximum number of bytes of ``window`` beyond the end of the current file.
        var acrossFiles: UInt64 = 0
        var lastUse: UInt64
    }

    private var streams: [Stream] = []
    private var uses: UInt64 = 0

    /// Assigns a read of `extents` to a stream. If the read moves a known stream forward, enlarges the stream's window
    /// and returns the stream's index. If the read belongs to no known stream, begins a new stream and returns `nil`.
    /// Also returns `nil` if the read stays within the extents that the stream has passed.
    ///
    /// - Parameters:
    ///   - map: the layer's extents, which show if the read crossed the end of a file.
    ///   - configuration: the limits of windows and of the number of streams.
    mutating func access(
        _ extents: Range<Int>, in map: any ExtentMap, configuration: PlannerConfiguration
    ) -> Int? {
        uses += 1
        let first = extents.lowerBound
        let last = extents.upperBound - 1
        // Kernel read-ahead reorders reads. A step back, or a jump within the scheduled part, is still the same reader.
        let found = streams.firstIndex { stream in
            first >= stream.last - 1 && first <= max(stream.last + 1, stream.scheduledEnd)
        }
        guard let index = found else {
            let stream = Stream(last: last, scheduledEnd: extents.upperBound, lastUse: uses)
            if streams.count < configuration.streamsPerLayer {
                streams.append(stream)
            } else if let oldest = streams.indices.min(by: { streams[$0].lastUse < streams[$1].lastUse }) {
                streams[oldest] = stream
            }
            return nil
        }
        streams[index].lastUse = uses
        let previous = streams[index].last
        guard last > previous else { return nil }
        streams[index].last = last
        streams[index].scheduledEnd = max(streams[index].scheduledEnd, extents.upperBound)
        streams[index].window = Self.grown(
            streams[index].window, first: configuration.readaheadFirst, largest: configuration.readaheadLargest)
        // A read of many extents is one step. Looking at its last 16 extents suffices to see if it crossed the end of
        // a file.
        if (max(previous + 1, last - 15)...last).contains(where: map.beginsFile) {
            streams[index].acrossFiles = Self.grown(
                streams[index].acrossFiles, first: configuration.readaheadFirst,
                largest: configuration.readaheadAcrossFiles)
        }
        return index
    }

    /// Returns the extents to schedule now for read-ahead of the stream with the index `index`, and records them as
    /// scheduled. Returns `nil` if more than half of the stream's window is already scheduled, or if no further extent
    /// lies in the window.
    ///
    /// - Parameter isWithinFile: true if read-ahead must stop at the end of the current file. If false, a part of the
    ///   window may lie in the files after it.
    mutating func ahead(_ index: Int, in map: any ExtentMap, isWithinFile: Bool) -> Range<Int>? {
        let stream = streams[index]
        let start = stream.last + 1
        var budget = stream.window
        var sum: UInt64 = 0
        var scheduled: UInt64 = 0
        var end = start
        while end < map.extentCount, end - start < 4096, sum < budget {
            if map.beginsFile(end) {
                budget = min(budget, sum &+ (isWithinFile ? 0 : stream.acrossFiles))
                if sum >= budget { break }
            }
            sum &+= map.blobRange(of: end).count
            end += 1
            if end <= stream.scheduledEnd { scheduled = sum }
        }
        guard end > stream.scheduledEnd, scheduled <= stream.window / 2 else { return nil }
        streams[index].scheduledEnd = end
        return max(start, stream.scheduledEnd)..<end
    }

    private static func grown(_ window: UInt64, first: UInt64, largest: UInt64) -> UInt64 {
        window == 0 ? min(first, largest) : min(window &* 2, largest)
    }
}
