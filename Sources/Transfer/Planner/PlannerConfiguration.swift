/// The limits, sizes and times behind the planner's decisions. Sizes count compressed bytes of the blob, because those
/// load the link.
public struct PlannerConfiguration: Sendable {
    /// The maximum number of concurrent requests of each class. Demand has its own limit, so it never waits for another
    /// class. Hints usually need one request for each layer of a batch; see ``hintFirstBatch``. Fill has two requests,
    /// so that one transfers bytes while the other waits for its answer.
    public var requestLimit = PerClass<Int>(demand: 32, hint: 16, readahead: 4, fill: 2)

    /// The number of bytes in flight at which a class starts no further request. This limit bounds memory. The last
    /// request may exceed it. One request of each class may always start, whatever its size.
    public var byteLimit = PerClass<UInt64>(demand: 64 << 20, hint: 24 << 20, readahead: 24 << 20, fill: 16 << 20)

    /// The maximum size of one request of each class, in bytes. A request for a single extent may be larger. A more
    /// urgent request does not abort a running one but shares the link with it. So the limits are small enough for a
    /// slow link to carry a request in a few seconds.
    public var runLimit = PerClass<UInt64>(demand: 16 << 20, hint: 16 << 20, readahead: 8 << 20, fill: 8 << 20)

    /// The maximum number of bytes of read-ahead in a demand's own request. The planner fetches further read-ahead in
    /// requests of class read-ahead, which start after all demands.
    public var demandAhead: UInt64 = 4 << 20

    /// The largest distance in bytes between two extents that the planner requests as one range. The bytes between them
    /// are fetched and discarded. A demand's request has only one range, so an extent farther away needs a second
    /// request. This costs a round trip, in which a link of 5 ms and 200 Mbit/s carries 125 KB. The default is about a
    /// quarter of that. A typical distance is far smaller: in eStargz, a compressed tar header of some 200 bytes.
    public var mergeGap: UInt64 = 32 << 10

    /// The limits of the read-around in a small demand's request; see ``ReadAround``.
    public var readAround = ReadAroundLimits()

    /// The size of the first batch of hints, in bytes. The planner fetches hints in batches, in the order of first use.
    /// The batches grow; see ``hintBatchGrowth``. All extents of a batch in one layer usually share one request.
    public var hintFirstBatch: UInt64 = 2 << 20
    /// The factor by which the batch size grows with each batch of hints, up to the ``runLimit`` of class hint.
    public var hintBatchGrowth: UInt64 = 4
    /// The lowest threshold, in bytes, for the next batch of hints. The planner requests that batch once the number of
    /// hinted bytes that are still to come falls to the threshold. On a fast link, the threshold is higher: the number
    /// of bytes that the link carries in 1.5 times its average answer time. The ``byteLimit`` of class hint is the
    /// upper bound.
    public var hintAhead: UInt64 = 1 << 20
    /// The value, in bytes, that replaces ``mergeGap`` in requests for hints and fill to a host that answers only one
    /// range per request. The value is larger than ``mergeGap``, because each further range costs a whole request.
    public var singleRangeGap: UInt64 = 256 << 10
    /// The pause of speculation (read-ahead, read-around, nearby fill) in a layer after the last bytes of a hint
    /// arrived. Predictions do not cause this pause.
    public var hintQuiet = Duration.seconds(1)
    /// The ``hintQuiet`` of a predicted startup pack: the pause of speculation in a layer after the last bytes of the
    /// pack arrived.
    public var predictedPackQuiet = Duration.milliseconds(100)

    /// The initial size of a sequential reader's read-ahead window, in bytes.
    public var readaheadFirst: UInt64 = 256 << 10
    /// The largest size of a sequential reader's read-ahead window, in bytes.
    public var readaheadLargest: UInt64 = 16 << 20
    /// The largest part of a read-ahead window that lies beyond the end of the current file, in bytes.
    public var readaheadAcrossFiles: UInt64 = 4 << 20
    /// The maximum number of sequential readers that the planner tracks in one layer.
    public var streamsPerLayer = 16

    /// The maximum number of bytes that a running request may bring before a newly demanded extent. Bytes that a reader
    /// waits for do not count. Above this limit, the planner ends the request before the extent and requests the extent
    /// separately.
    public var joinDistance: UInt64 = 2 << 20
    /// The larger ``joinDistance`` of hint requests. Readers will need all bytes of such a request, so serving one
    /// reader out of order delays the next one.
    public var joinDistanceInHint: UInt64 = 8 << 20

    /// The time after which a demand fails. A reader waits no longer than this during a registry outage.
    public var demandTimeout = Duration.seconds(30)
    /// The shorter ``demandTimeout`` of a layer on which a demand failed recently; see ``outageMemory``. The kernel
    /// repeats a failed read in smaller and smaller pieces. These must not all wait for the full timeout.
    public var demandTimeoutInOutage = Duration.seconds(2)
    /// The time for which the planner assumes an outage after a demand on a layer failed. The assumption ends sooner if
    /// an extent of the layer arrives.
    public var outageMemory = Duration.seconds(30)
    /// The number of failed requests for an extent after which its demands fail. The registry client's own retries do
    /// not count.
    public var demandAttempts = 3
    /// The number of failed requests for a hint's extents after which the planner drops them from the hint. A demand or
    /// fill may still fetch them later.
    public var hintAttempts = 3
    /// The number of fetches with wrong bytes (which contradict the layer index) after which an extent's demands fail.
    public var corruptAttempts = 2

    /// The pause before the first retry of a failed request. The pause doubles with each further retry.
    public var retryFirst = Duration.milliseconds(200)
    /// The longest pause before a retry of a demand or a hint. A demand does not wait longer even if the registry asks
    /// for more, because a reader is blocked.
    public var retryLongest = Duration.seconds(10)
    /// The longest pause before a retry of fill. It is also the longest `Retry-After` that the planner honors for the
    /// background classes (all but demand).
    public var backgroundRetryLongest = Duration.seconds(300)

    /// The pause of fill after a demand ends. A starting process computes between its reads, and its next read should
    /// find the link idle.
    public var fillQuiet = Duration.milliseconds(500)
    /// The pause of fill after a cache hit while a container starts; see ``startQuiet``.
    public var fillQuietAfterRead = Duration.seconds(1)
    /// The delay of a layer's first fill request. The caller asks for fill when a container is about to start, and fill
    /// would compete with the container's first reads. After the first read only ``fillQuiet`` and
    /// ``fillQuietAfterRead`` apply.
    public var fillDelay = Duration.seconds(3)
    /// The largest distance from a recent read, in bytes of the blob, at which nearby fill fetches extents; 0 turns
    /// nearby fill off. See ``NearbyFill``.
    public var nearbyFillDistance: UInt64 = 512 << 10
    /// The time without a demand after which nearby fill begins. A process that reads one file after another sends its
    /// next demand sooner.
    public var nearbyFillQuiet = Duration.milliseconds(25)
    /// The shortest answer time (from a request to the head of its answer) at which the planner uses nearby fill. If a
    /// link answers sooner, nearby fill gains nothing.
    public var nearbyFillDelay = Duration.milliseconds(10)
    /// The time after which the planner considers a container's start complete. The planner measures this time from
    /// different events:
    ///
    /// - for nearby fill and the size of fill requests, from the last stall of a reader or the last bytes of a startup
    ///   pack;
    /// - for ``fillQuietAfterRead``, from the last call of ``Planner/fill(_:now:)``;
    /// - for a ``KnownStart``, from the latest bytes of the start's hints.
    public var startQuiet = Duration.seconds(10)
    /// The number of missing bytes of an image up to which fill of the image is always *eager*: it does not yield to
    /// readers. Fill that yields pauses while a reader waits, and for ``fillQuiet`` after the last demand has ended.
    public var eagerSmallest: UInt64 = 2 << 20
    /// The transfer time of an image's missing bytes, in seconds, up to which fill of the image is eager (see
    /// ``eagerSmallest``). If more than ``eagerSmallest`` bytes are missing, fill is still eager in two cases:
    ///
    /// - The link carries the missing bytes within ``eagerSeconds``.
    /// - Hints other than predictions named extents with at least half as many bytes as are missing.
    ///
    /// In both cases, at most ``eagerLargest`` bytes may be missing.
    public var eagerSeconds = 0.25
    /// The number of missing bytes of an image above which fill always yields to readers. Above this number, the two
    /// cases at ``eagerSeconds`` do not apply. Eager fill of so large an image would occupy the link that other images
    /// need, and its decoding would keep a core busy.
    public var eagerLargest: UInt64 = 32 << 20
    /// The longest pause of a fill request. Even if readers still wait, the request then continues for
    /// ``fillTrickle`` bytes.
    public var fillStarvation = Duration.seconds(5)
    /// The number of bytes that a fill request may fetch after a pause of ``fillStarvation`` before it pauses again.
    public var fillTrickle: UInt64 = 1 << 20
    /// The highest rate of fill, in bytes per second; `nil` for no limit.
    public var fillBytesPerSecond: UInt64?
    /// The pause of all classes but demand after the store failed to write an extent.
    public var storageFullPause = Duration.seconds(10)
    /// The pause before the next recovery of a layer after a failed one; see ``PlannerAction/recover(_:reason:)``. The
    /// pause doubles with each further failure. A recovery reads the whole blob, so a registry that lost a part of it
    /// must not cause one for each read.
    public var recoveryFirstPause = Duration.seconds(60)
    /// The longest pause before the next recovery of a layer.
    public var recoveryLongestPause = Duration.seconds(3600)

    public init() {}

    /// Turns off every fetch that no caller asked for: read-ahead, read-around, nearby fill (``NearbyFill``), and the
    /// bytes between extents (``mergeGap``). Demands, hints and the fill of whole layers remain, because callers of the
    /// planner ask for them.
    ///
    /// ``singleRangeGap`` keeps its value. It applies only to hosts that answer one range per request. Without it, each
    /// extent that does not directly follow another would cost such a host a whole request.
    public mutating func fetchNothingUnread() {
        demandAhead = 0
        mergeGap = 0
        (readaheadFirst, readaheadLargest, readaheadAcrossFiles) = (0, 0, 0)
        (readAround.first, readAround.smallest, readAround.largest) = (0, 0, 0)
        nearbyFillDistance = 0
    }
}

/// The limits of ``ReadAround``.
public struct ReadAroundLimits: Sendable {
    /// The initial size of read-around, in bytes; see ``ReadAround``. A later layer starts with the size that earlier
    /// layers reached.
    public var first: UInt64 = 512 << 10
    /// The smallest size of read-around, in bytes.
    public var smallest: UInt64 = 32 << 10
    /// The largest size of read-around, in bytes.
    public var largest: UInt64 = 1 << 20
    /// The size of a demand, in bytes, at which the demand is no longer small. Only small demands get read-around.
    public var smallDemand: UInt64 = 512 << 10
    /// The largest size of read-around, in bytes, while predictions cover most reads; see ``PredictionAccuracy``.
    public var predicted: UInt64 = 256 << 10
    /// The number of requests with neighbors (see ``ReadAround``) after which the planner adjusts the size of
    /// read-around.
    public var period = 4
    /// The estimated time that a request costs the node and the registry, in addition to its round trip.
    public var requestCost = Duration.milliseconds(2)

    public init() {}
}
