import Harness
import Lab
import Linux
import Testing

/// Results files, and what they come to.
struct ResultsTests {
    /// A results file that is gone after `body`.
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

    @Test func whatIsWrittenIsRead() throws {
        try withFile(Self.line(mode: "rivulet", block: 3, ready: 2.5)) { path in
            let sample = try #require(try ResultsFile.read(path).samples.first)
            let file = try ResultsFile(path)
            try file.append(sample)
            let content = try ResultsFile.read(path)
            #expect(content.samples == [sample, sample])
            #expect(sample.key == .init(image: "a", edition: "small", network: "wan", mode: "rivulet", block: 3))
            // A reader may count on every name.
            let text = try Files.text(path).split(separator: "\n")[1]
            for name in ["sandbox_s", "pull_s", "create_s", "start_s", "complete_s", "requests_to_ready", "error"] {
                #expect(text.contains("\"\(name)\":null"))
            }
        }
    }

    @Test func aLineThatWasNotFinishedIsCutOff() throws {
        let whole = Self.line(mode: "rivulet", block: 0, ready: 2)
        try withFile(whole + whole.prefix(40)) { path in
            #expect(try ResultsFile.read(path).samples.count == 1)
            let file = try ResultsFile(path)
            try file.append(try #require(try ResultsFile.read(path).samples.first))
            #expect(try ResultsFile.read(path).samples.count == 2)
        }
    }

    @Test func aLineThatIsNotUnderstoodIsNamed() throws {
        try withFile(Self.line(mode: "rivulet", block: 0, ready: 2) + "{\"record\":\"other\"}\n") { path in
            let error = #expect(throws: LabError.self) { try ResultsFile.read(path) }
            #expect(error?.message.contains("x.jsonl:2") == true)
        }
    }

    @Test func whatIsNotThereIsEmpty() throws {
        let content = try ResultsFile.read("/nonexistent/x.jsonl")
        #expect(content.header == nil && content.samples.isEmpty)
    }

    // MARK: - Summaries

    /// rivulet takes 2 s everywhere; overlayfs 4, 6 and 8 times 2 s, but not in the block where it failed.
    private static let compared = [
        line(mode: "rivulet", block: 0, ready: 2), line(mode: "overlayfs", block: 0, ready: 8),
        line(mode: "rivulet", block: 1, ready: 2), line(mode: "overlayfs", block: 1, ready: 12),
        line(mode: "rivulet", block: 2, ready: 2), line(mode: "overlayfs", block: 2, ready: 16),
        line(mode: "rivulet", block: 3, ready: 2), line(mode: "overlayfs", block: 3, ready: nil, error: "no room"),
        line(image: "b", mode: "rivulet", block: 0, ready: 3), line(image: "b", mode: "overlayfs", block: 0, ready: 2),
        line(image: "b", mode: "rivulet", block: 1, ready: 3), line(image: "b", mode: "overlayfs", block: 1, ready: 2),
    ].joined()

    @Test func cellsCountFailures() throws {
        try withFile(Self.compared) { path in
            let summary = Summary(try ResultsFile.read(path))
            #expect(summary.cells.count == 4)
            let cell = try #require(summary.cells.first { $0.image == "a" && $0.mode == "overlayfs" })
            #expect((cell.samples, cell.failed) == (4, 1))
            #expect(cell.ready?.median == 12)
            #expect(cell.ready?.max == 16)
            #expect(cell.floorEfficiency == 0.5)
        }
    }

    @Test func ratiosAreOfPairs() throws {
        try withFile(Self.compared) { path in
            let ratios = Summary(try ResultsFile.read(path)).ratios
            let win = try #require(ratios.first { $0.image == "a" })
            #expect((win.mode, win.than, win.pairs) == ("overlayfs", "rivulet", 3))
            #expect(win.ratio == 6)
            #expect(win.interval == .init(low: 4, high: 8))
            #expect(win.verdict == "rivulet is sooner")
            let loss = try #require(ratios.first { $0.image == "b" })
            #expect(loss.verdict == "rivulet is later")
            let all = try #require(ratios.first { $0.image == nil })
            #expect(all.pairs == 2)
            #expect(abs(all.ratio - 2) < 1e-9)
        }
    }

    @Test func summariesAreWrittenAndShown() throws {
        try withFile(Self.compared) { path in
            let summary = Summary(try ResultsFile.read(path))
            try summary.write(beside: path)
            let text = try Files.text(String(path.dropLast(6)) + ".summary.json")
            #expect(text.contains("\"floor_efficiency\" : 0.5"))
            #expect(summary.table().contains("rivulet is later"))
        }
    }

    @Test func durationsComeFromEarlierSamples() throws {
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
