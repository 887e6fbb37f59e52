public import Lab

/// stargz-snapshotter as it is shipped, with prefetch and background fetch, on an image that nobody has optimised.
public struct StargzMode: Mode {
    public let name = "stargz"
    public let form = ImageForm.estargz

    public init() {}

    public func snapshotter(_ programs: Programs) throws(LabError) -> Node.Snapshotter {
        guard let stargz = programs.stargz else {
            throw LabError(.usage, "the modes of stargz-snapshotter need --stargz, its daemon's program")
        }
        return .stargz(program: stargz)
    }
}
