import Base
import Lab
import TestSupport

/// A writer of layers with a table of contents: eStargz, and zstd:chunked in both dialects.
struct TableWriter {
    private let form: Stack.Form
    private let chunkSize: Int
    private var blob: [UInt8] = []
    private var archive: [UInt8] = []
    /// The part of the archive that is not compressed yet.
    private var pending: [UInt8] = []
    private var table: [TOCEntry] = []

    private init(_ form: Stack.Form, chunkSize: Int) {
        self.form = form
        self.chunkSize = chunkSize
    }

    /// Returns a layer of `entries`.
    ///
    /// - Parameter chunkSize: the most bytes of a file in one chunk.
    static func layer(_ entries: [ArchiveEntry], _ form: Stack.Form, chunkSize: Int) -> ImageStore.Layer {
        var writer = TableWriter(form, chunkSize: chunkSize)
        for entry in entries { writer.append(entry) }
        return writer.finish()
    }

    private mutating func append(_ entry: ArchiveEntry) {
        var headerOnly = ArchiveWriter()
        headerOnly.append(entry)
        let payload = entry.isRegular ? entry.content.count : 0
        let padding = (512 - payload % 512) % 512
        write(Array(headerOnly.bytes.dropLast(payload + padding)))
        var item = TOCEntry(name: entry.path, type: Self.type(entry.type))
        item.modtime = entry.seconds == 0 && entry.nanoseconds == 0 ? nil : Self.time(entry)
        item.mode = Int64(entry.mode)
        item.uid = entry.uid == 0 ? nil : Int64(entry.uid)
        item.gid = entry.gid == 0 ? nil : Int64(entry.gid)
        item.xattrs = entry.xattrs
        if entry.isHardLink || entry.isSymbolicLink { item.linkName = entry.link }
        if entry.isDevice { (item.devMajor, item.devMinor) = (Int64(entry.major), Int64(entry.minor)) }
        if entry.isRegular, form != .podman || payload > 0 { item.digest = "\(Digest.of(entry.content))" }
        guard payload > 0 else { return table.append(item) }
        item.size = Int64(payload)
        var position = 0
        while position < payload {
            let chunk = Array(entry.content[position..<min(position + chunkSize, payload)])
            flush()
            item.offset = blob.isEmpty ? nil : Int64(blob.count)
            item.chunkOffset = position == 0 ? nil : Int64(position)
            let isLast = position + chunk.count == payload
            item.chunkSize = isLast && form != .podman ? nil : Int64(chunk.count)
            item.chunkDigest = "\(Digest.of(chunk))"
            write(chunk)
            if form == .podman {
                flush()
                if chunk.allSatisfy({ $0 == 0 }) { item.extra = ["\"chunkType\": \"zeros\""] }
                if position == 0 { item.extra.append("\"endOffset\": \(blob.count)") }
            }
            table.append(item)
            position += chunk.count
            item = TOCEntry(name: entry.path, type: "chunk")
        }
        write([UInt8](repeating: 0, count: padding))
    }

    private mutating func write(_ bytes: [UInt8]) {
        pending += bytes
        archive += bytes
    }

    /// Ends the current member or frame.
    private mutating func flush() {
        guard !pending.isEmpty else { return }
        blob += form == .estargz ? Compressed.gzip(pending) : Compressed.zstd(pending)
        pending = []
    }

    private mutating func finish() -> ImageStore.Layer {
        let json = JSONText.toc(table, extra: form == .podman ? ["\"tarSplitDigest\": \"\(Digest.of([]))\""] : [])
        var annotations: [String: String] = [:]
        if form == .estargz {
            flush()
            let offset = blob.count
            var entry = ArchiveEntry("0", Array("stargz.index.json".utf8))
            entry.content = json
            entry.style = .ustar
            write(ArchiveWriter.archive([entry]))
            flush()
            blob += EstargzBlob.footer(tocOffset: UInt64(offset))
            annotations[EstargzBlob.tocDigestAnnotation] = "\(Digest.of(json))"
        } else {
            write([UInt8](repeating: 0, count: 1024))
            flush()
            let compressed = Compressed.zstd(json)
            let place = blob.count + 8
            blob += Self.skippable(compressed)
            let position = "\(place):\(compressed.count):\(json.count):1"
            if form == .podman {
                let split = Compressed.zstd(Array("{}".utf8))
                let splitPlace = blob.count + 8
                blob += Self.skippable(split)
                blob += Self.footer(
                    [place, compressed.count, json.count, 1, splitPlace, split.count, 2], magic: "GNUlInUx")
                let prefix = "io.github.containers.zstd-chunked"
                annotations["\(prefix).manifest-checksum"] = "\(Digest.of(compressed))"
                annotations["\(prefix).manifest-position"] = position
                annotations["\(prefix).tarsplit-position"] = "\(splitPlace):\(split.count):2"
            } else {
                blob += Self.footer([place, compressed.count, json.count, 1], magic: "GnUlInUx")
                annotations[EstargzBlob.tocDigestAnnotation] = "\(Digest.of(json))"
                annotations["io.containers.zstd-chunked.manifest-checksum"] = "\(Digest.of(compressed))"
                annotations["io.containers.zstd-chunked.manifest-position"] = position
            }
        }
        let packing = form == .estargz ? Packing.gzip : Packing.zstd
        return ImageStore.Layer(
            blob: blob, diffID: Digest.of(archive), mediaType: packing.mediaType, annotations: annotations)
    }

    private static func footer(_ values: [Int], magic: String) -> [UInt8] {
        var bytes: [UInt8] = []
        for value in values { bytes.appendLittleEndian(UInt64(value)) }
        return skippable(bytes + Array(magic.utf8))
    }

    private static func skippable(_ payload: [UInt8]) -> [UInt8] {
        var frame: [UInt8] = []
        frame.appendLittleEndian(0x184D_2A50 as UInt32)
        frame.appendLittleEndian(UInt32(payload.count))
        return frame + payload
    }

    private static func type(_ type: UInt8) -> String {
        switch type {
        case 0x31: "hardlink"
        case 0x32: "symlink"
        case 0x33: "char"
        case 0x34: "block"
        case 0x35: "dir"
        case 0x36: "fifo"
        default: "reg"
        }
    }

    /// Returns the time as RFC 3339 text in UTC, by the civil-from-days rule (proleptic Gregorian calendar).
    private static func time(_ entry: ArchiveEntry) -> String {
        let days = (entry.seconds >= 0 ? entry.seconds : entry.seconds - 86_399) / 86_400
        let rest = entry.seconds - days * 86_400
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
        let fraction = entry.nanoseconds == 0 ? "" : ".\(pad(Int64(entry.nanoseconds), 9))"
        return "\(pad(year, 4))-\(pad(month))-\(pad(day))"
            + "T\(pad(rest / 3600)):\(pad(rest / 60 % 60)):\(pad(rest % 60))\(fraction)Z"
    }
}
