import FuzzTargets
import Glibc

/// The target that `RIVULET_FUZZ_TARGET` names. One executable serves all targets, because linking it takes longer than
/// compiling a target.
private let target: FuzzTarget = {
    let name = getenv("RIVULET_FUZZ_TARGET").map { String(cString: $0) } ?? ""
    guard let target = FuzzTarget.named(name) else {
        print("RIVULET_FUZZ_TARGET=\(name): no such target")
        exit(64)
    }
    return target
}()

@c(LLVMFuzzerTestOneInput)
public func fuzzOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    target.run(UnsafeRawBufferPointer(start: data, count: count))
    return 0
}
