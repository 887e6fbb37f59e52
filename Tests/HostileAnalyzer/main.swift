import Base
import CLinux
import Daemon
import Glibc
import Linux
import Prediction
import SystemPackage

/// Does to its process what the files `<something>.evil` of an image say.
struct HostileAnalyzer: FileAnalyzer {
    func part(of file: ImageFile, in start: StartPrediction) -> ByteRange? {
        file.name.hasSuffix(".evil") ? file.whole : nil
    }

    func analyze(_ bytes: [UInt8], of file: ImageFile, in start: inout StartPrediction) {
        switch String(decoding: bytes.prefix { $0 != 0x20 && $0 != 0x0A }, as: UTF8.self) {
        case "trap": preconditionFailure("a file said so")
        case "loop": while true { Sink.take(bytes.count) }
        case "hog":
            var taken: [[UInt8]] = []
            while true { taken.append([UInt8](repeating: UInt8(truncatingIfNeeded: taken.count), count: 16 << 20)) }
        case "recurse": Sink.take(Self.recurse(bytes))
        case "exit": _exit(3)
        case "lie":
            // A range that no layer has.
            var packet = AnalyzerReply.runs(
                start: 1, [StartPrediction.Run(layer: 60_000, content: ByteRange(offset: 0, end: .max), inode: 1)]
            ).encoded
            _ = write(0, &packet, packet.count)
        case "babble":
            var packet: [UInt8] = [0xFF, 0xFF]
            _ = write(0, &packet, packet.count)
        default: break
        }
    }

    private static func recurse(_ bytes: [UInt8]) -> Int {
        // Never true, but the compiler refuses a recursion without an end.
        guard bytes.count < .max else { return 0 }
        var copy = bytes
        copy.append(1)
        return recurse(copy) + copy.count
    }
}

/// Keeps what it is given from being optimized away.
enum Sink {
    @inline(never)
    static func take(_ value: Int) {
        if value == .min { print(value) }
    }
}

/// Confines itself and prints what is denied: `<call> <errno>`, 0 for success.
func probe() -> Never {
    let limits = ConfinedProcess.Limits(memory: 256 << 20, addressSpace: 4 << 30, descriptors: 64, processorSeconds: 10)
    var lines: [String] = []
    func report(_ name: String, _ result: Int) {
        lines.append("\(name) \(result < 0 ? errno : 0)")
    }
    do {
        try ConfinedProcess.confine(limits)
    } catch {
        print("confine \(error.rawValue)")
        exit(1)
    }
    var words: [UnsafeMutablePointer<CChar>?] = [strdup("/bin/true"), nil]
    report("open", Int(rv_openat(AT_FDCWD, "/etc/passwd", O_RDONLY, 0)))
    report("create", Int(rv_openat(AT_FDCWD, "/tmp/x", O_WRONLY | O_CREAT, 0o600)))
    report("socket", Int(socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)))
    report("execve", Int(execve("/bin/true", &words, nil)))
    var child: pid_t = 0
    lines.append("spawn \(posix_spawn(&child, "/bin/true", nil, nil, &words, environ))")
    report("kill", Int(kill(getppid(), 0)))
    report("chmod", Int(chmod("/tmp", 0o777)))
    let code = mmap(nil, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    report("executable", code == UnsafeMutableRawPointer(bitPattern: -1) ? -1 : 0)
    let memory = mmap(nil, 512 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    report("memory", memory == UnsafeMutableRawPointer(bitPattern: -1) ? -1 : 0)
    report("write", write(1, "", 0))
    let text = lines.joined(separator: "\n") + "\n"
    _ = Array(text.utf8).withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
    _exit(0)
}

if CommandLine.arguments.dropFirst().first == "probe" { probe() }
Analyzer.runIfRequested(adding: [HostileAnalyzer()])
// In all else it is the daemon, whose analyzer is this program again.
await runDaemon()
