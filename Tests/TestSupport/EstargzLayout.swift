import Base

/// A writer that packs tar entries into gzip members and records the location of each payload.
struct EstargzLayout {
    private let options: EstargzOptions
    private(set) var bytes: [UInt8] = []
    private(set) var tar: [UInt8] = []
    private(set) var toc: [TOCEntry] = []
    private(set) var streamOffsets: [Int] = []
    /// The content of the open member, not yet compressed.
    private var pending: [UInt8] = []
    /// The start of the latest payload's member in the blob and in the tar stream.
    private var stream = (blob: 0, tar: 0)
    private var namedUsers: Set<UInt32> = []
    private var namedGroups: Set<UInt32> = []

    init(_ options: EstargzOptions) {
        self.options = options
    }

    mutating func append(_ entry: TarEntry) {
        write(TarWriter.header(entry))
        var item = TOCEntry(name: entry.path, type: Self.type(entry.kind))
        item.modtime = entry.modified == 0 ? nil : Self.timestamp(entry.modified)
        item.mode = Int64(entry.mode)
        item.uid = entry.uid == 0 ? nil : Int64(entry.uid)
        item.gid = entry.gid == 0 ? nil : Int64(entry.gid)
        if !entry.userName.isEmpty, namedUsers.insert(entry.uid).inserted { item.userName = entry.userName }
        if !entry.groupName.isEmpty, namedGroups.insert(entry.gid).inserted { item.groupName = entry.groupName }
        item.xattrs = entry.xattrs
        switch entry.kind {
        case .symlink, .hardlink: item.linkName = entry.linkTarget
        case .character, .block:
            item.devMajor = entry.deviceMajor == 0 ? nil : Int64(entry.deviceMajor)
            item.devMinor = entry.deviceMinor == 0 ? nil : Int64(entry.deviceMinor)
        case .regular: item.digest = Digest.of(entry.contents).description
        case .directory, .fifo: break
        }
        guard entry.kind == .regular, !entry.contents.isEmpty else { return toc.append(item) }
        item.size = Int64(entry.contents.count)
        appendPayload(entry, item)
    }

    /// Ends the open gzip member.
    mutating func closeStream() {
        guard !pending.isEmpty else { return }
        bytes += Compressed.gzip(pending, level: options.level)
        pending = []
    }

    private mutating func appendPayload(_ entry: TarEntry, _ first: TOCEntry) {
        let name = entry.path.split(separator: 0x2f).last.map { String(decoding: $0, as: UTF8.self) }
        let isLandmark = name == EstargzBlob.prefetchLandmark || name == EstargzBlob.noPrefetchLandmark
        var item = first
        var position = 0
        while position < entry.contents.count {
            let count = min(options.chunkSize, entry.contents.count - position)
            let chunk = Array(entry.contents[position..<(position + count)])
            openStreamIfNeeded(forced: isLandmark && position == 0)
            item.offset = stream.blob == 0 ? nil : Int64(stream.blob)
            item.innerOffset = tar.count == stream.tar ? nil : Int64(tar.count - stream.tar)
            item.chunkOffset = position == 0 ? nil : Int64(position)
            // A chunk that reaches to the end of the file has no size in the TOC.
            item.chunkSize = position + count == entry.contents.count ? nil : Int64(count)
            item.chunkDigest = Digest.of(chunk).description
            toc.append(item)
            write(chunk)
            position += count
            item = TOCEntry(name: entry.path, type: "chunk")
        }
        write(TarWriter.padding(entry.contents.count))
    }

    private mutating func openStreamIfNeeded(forced: Bool) {
        let compressed =
            options.minimumChunkSize == 0 ? 0 : bytes.count - stream.blob + Compressed.gzip(pending).count
        guard forced || options.minimumChunkSize == 0 || compressed >= options.minimumChunkSize else { return }
        closeStream()
        stream = (bytes.count, tar.count)
        streamOffsets.append(bytes.count)
    }

    private mutating func write(_ data: [UInt8]) {
        pending += data
        tar += data
    }

    private static func type(_ kind: TarEntry.Kind) -> String {
        switch kind {
        case .directory: "dir"
        case .regular: "reg"
        case .symlink: "symlink"
        case .hardlink: "hardlink"
        case .character: "char"
        case .block: "block"
        case .fifo: "fifo"
        }
    }

    /// Returns the time as RFC 3339 text in UTC, by the civil-from-days rule (proleptic Gregorian calendar).
    static func timestamp(_ seconds: Int64) -> String {
        let days = (seconds >= 0 ? seconds : seconds - 86_399) / 86_400
        let rest = seconds - days * 86_400
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        func pad(_ value: Int64, _ width: Int = 2) -> String {
            let digits = "\(value)"
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        return "\(pad(year, 4))-\(pad(month))-\(pad(day))"
            + "T\(pad(rest / 3600)):\(pad(rest / 60 % 60)):\(pad(rest % 60))Z"
    }
}
