import Base
import Harness
import Lab
import Linux
import Testing

/// Results files and their summaries.
struct ResultsTests {
    /// Runs `body` with a results file, which is removed afterwards.
    private func withFile(_ text: String = "", _ body: (String) throws -> Void) throws {
        let directory = try Sys.makeTemporaryDirectory(in: "/tmp", prefix: "results-")
        defer { try? removeTree(directory) }
        let path = "\(directory)/x.jsonl"
        if !text.isEmpty { try Files.write(path, text) }
        try body(path)
    }

    private static func line(
        image: String = "a", mode: String, block: Int, ready: Double?, error: String? = nil
    ) -> String {
        let figures = ready.map { "\"ready_s\":\($0),\"floor_s\":\($0 / 2),\"bytes_to_ready\":5" } ?? "\"ready_s\":null"
        let failure = error.map { "\"\($0)\"" } ?? "null"
        return "{\"record\":\"sample\",\"image\":\"\(image)\",\"edition\":\"small\",\"network\":\"wan\","
            + "\"mode\":\"\(mode)\",\"block\":\(block),\"took_s\":9,\"error\":\(failure),\(figures)}\n"
    }

    @Test("reads back written samples") func readsBackWrittenSamples() throws {
        try withFile(Self.line(mode: "rivulet", block: 3, ready: 2.5)) { path in
            let sample = try #require(try ResultsFile.read(path).samples.first)
            let file = try ResultsFile(path)
            try file.append(sample)
            let content = try ResultsFile.read(path)
            #expect(content.samples == [sample, sample])
            #expect(sample.key == .init(image: "a", edition: "small", network: "wan", mode: "rivulet", block: 3))
            // A reader may rely on every name.
            let text = try Files.text(path).split(separator: "\n")[1]
            for name in ["sandbox_s", "pull_s", "create_s", "start_s", "complete_s", "requests_to_ready", "error"] {
                #expect(text.contains("\"\(name)\":null"))
            }
        }
    }

    @Test("truncates an unfinished line") func truncatesUnfinishedLine() throws {
        let whole = Self.line(mode: "rivulet", block: 0, ready: 2)
        try withFile(whole + whole.prefix(40)) { path in
            #expect(try ResultsFile.read(path).samples.count == 1)
            let file = try ResultsFile(path)
            try file.append(try #require(try ResultsFile.read(path).samples.first))
            #expect(try ResultsFile.read(path).samples.count == 2)
        }
    }

    @Test("names a malformed line") func namesMalformedLine() throws {
        try withFile(Self.line(mode: "rivulet", block: 0, ready: 2) + "{\"record\":\"other\"}\n") { path in
            let error = #expect(throws: LabError.self) { try ResultsFile.read(path) }
            #expect(error?.message.contains("x.jsonl:2") == true)
        }
    }

    @Test("a missing file has no samples") func missingFileHasNoSamples() throws {
        let content = try ResultsFile.read("/nonexistent/x.jsonl")
        #expect(content.header == nil && content.samples.isEmpty)
    }

    // MARK: - Summaries

    /// For image a, rivulet takes 2 s everywhere and overlayfs 8 to 20 s, except for a failed block; for image b, 3 s
    /// and 2 s.
    private static let compared: String = {
        var text = line(mode: "rivulet", block: 7, ready: 2)
        text += line(mode: "overlayfs", block: 7, ready: nil, error: "no room")
        for block in 0..<7 {
            text += line(mode: "rivulet", block: block, ready: 2)
            text += line(mode: "overlayfs", block: block, ready: 8 + 2 * Double(block))
            text += line(image: "b", mode: "rivulet", block: block, ready: 3)
            text += line(image: "b", mode: "overlayfs", block: block, ready: 2)
        }
        return text
    }()

    @Test("cells count failures") func cellsCountFailures() throws {
        try withFile(Self.compared) { path in
            let summary = Summary(try ResultsFile.read(path))
            #expect(summary.cells.count == 4)
            let cell = try #require(summary.cells.first { $0.image == "a" && $0.mode == "overlayfs" })
            #expect((cell.samples, cell.failed) == (8, 1))
            #expect(cell.ready?.median == 14)
            #expect(cell.ready?.max == 20)
            #expect(cell.floorEfficiency == 0.5)
            #expect(cell.bytesToReady == 5)
        }
    }

    @Test("ratios compare pairs") func ratiosComparePairs() throws {
        try withFile(Self.compared) { path in
            let ratios = Summary(try ResultsFile.read(path)).ratios
            let win = try #require(ratios.first { $0.image == "a" })
            #expect((win.mode, win.than, win.pairs) == ("overlayfs", "rivulet", 7))
            #expect(win.ratio == 7)
            #expect(win.interval.low >= 4 && win.interval.low < 7)
            #expect(win.interval.high <= 10 && win.interval.high > 7)
            #expect(win.verdict == "rivulet is sooner")
            let loss = try #require(ratios.first { $0.image == "b" })
            #expect(loss.verdict == "rivulet is later")
            let all = try #require(ratios.first { $0.image == nil })
            #expect(all.pairs == 2)
            // The square root of 7 × 2/3.
            #expect(abs(all.ratio - 2.160246899) < 1e-6)
            #expect(all.verdict == "rivulet is sooner")
        }
    }

    @Test("few blocks give no verdict") func fewBlocksGiveNoVerdict() throws {
        let few = Self.compared.split(separator: "\n").filter { $0.contains("\"block\":0") }.joined(separator: "\n")
        try withFile(few + "\n") { path in
            let ratios = Summary(try ResultsFile.read(path)).ratios
            #expect(ratios.count == 3)
            #expect(ratios.allSatisfy { $0.verdict == "too few blocks to tell" })
        }
    }

    @Test("writes and prints summaries") func writesAndPrintsSummaries() throws {
        try withFile(Self.compared) { path in
            let summary = Summary(try ResultsFile.read(path))
            try summary.write(beside: path)
            let text = try Files.text(String(path.dropLast(6)) + ".summary.json")
            #expect(text.contains("\"floor_efficiency\" : 0.5"))
            #expect(summary.table().contains("rivulet is later"))
        }
    }

    @Test("estimates durations from earlier samples") func estimatesDurationsFromEarlierSamples() throws {
        try withFile(Self.line(mode: "rivulet", block: 0, ready: 2)) { path in
            let directory = String(path.dropLast(8))
            let durations = Durations(from: directory)
            let known = SampleRecord.Key(image: "a", edition: "small", network: "wan", mode: "rivulet", block: 7)
            #expect(durations.seconds(known, bytes: 0) == 9)
            let other = SampleRecord.Key(image: "z", edition: "small", network: "edge", mode: "rivulet", block: 7)
            // 25 MB at 25 Mbit/s.
            #expect(durations.seconds(other, bytes: 25_000_000) > 8)
        }
    }
}
