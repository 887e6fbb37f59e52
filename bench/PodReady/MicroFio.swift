import Base
import FoundationEssentials
import Lab

/// Measures sequential and random reads of a large local file with fio.
struct MicroFio: Sendable {
    let micro: MicroLab
    let edition: ImageEdition
    /// The duration of each measurement, in seconds.
    let seconds: Int

    private struct Job {
        let name: String
        let options: [String]
    }

    private static let jobs = [
        Job(name: "sequential 128 KiB", options: ["--rw=read", "--bs=128k"]),
        Job(name: "sequential 1 MiB", options: ["--rw=read", "--bs=1m"]),
        Job(name: "random 4 KiB", options: ["--rw=randread", "--bs=4k"]),
        Job(
            name: "random 4 KiB, 4 readers", options: ["--rw=randread", "--bs=4k", "--numjobs=4", "--group_reporting"]),
        Job(name: "random 128 KiB", options: ["--rw=randread", "--bs=128k"]),
    ]

    func run() async throws {
        print("")
        MicroLab.printRow("large file, local", ["MB/s", "reads/s", "mean µs", "p99 µs"])
        try await micro.roots(of: try .named("big-file", edition)) { name, root in
            let path = "\(root)/data/weights"
            // This read fills the content store, so everything is local from here on.
            _ = try await blocking { try Files.digest(path) }
            for job in Self.jobs {
                try await blocking { try PageCache.drop() }
                try await measure(job, of: path, title: "\(name), cold: \(job.name)")
                _ = try await blocking { try Files.digest(path) }
                try await measure(job, of: path, title: "\(name), warm: \(job.name)")
            }
        }
    }

    private func measure(_ job: Job, of path: String, title: String) async throws {
        let output = try await Command.run(
            [
                "fio", "--name=read", "--filename=\(path)", "--readonly", "--invalidate=0", "--ioengine=psync",
                "--runtime=\(seconds)", "--output-format=json",
            ] + job.options, in: micro.lab)
        let report = try JSONDecoder().decode(Report.self, from: Data(output.utf8))
        guard let read = report.jobs.first?.read, let worst = read.clat_ns.percentile?["99.000000"] else {
            throw LabError(.failed, "fio reports nothing: \(output)")
        }
        MicroLab.printRow(
            title,
            [
                "\(read.bw_bytes / 1_000_000)", "\(Int(read.iops))", Format.seconds(read.clat_ns.mean / 1000),
                Format.seconds(Double(worst) / 1000),
            ])
    }

    // fio defines the names below.

    private struct Report: Decodable {
        let jobs: [JobReport]
    }

    private struct JobReport: Decodable {
        let read: Reads
    }

    private struct Reads: Decodable {
        let bw_bytes: Int
        let iops: Double
        let clat_ns: Latency
    }

    private struct Latency: Decodable {
        let mean: Double
        let percentile: [String: Int]?
    }
}
