public import Lab

/// All modes, by name.
public enum Modes {
    /// In the order in which tables show them.
    public static let all: [any Mode] = [
        OverlayfsMode(), StargzMode(), StargzOptimisedMode(), RivuletMode(), RivuletMode(name: "rivulet-aa"),
        RivuletMode(name: "rivulet-unpredicted", options: "[streaming]\npredict = false\n"), RivuletProfileMode(),
        RivuletWarmMode(), RivuletMode(name: "rivulet-artifact", form: .artifact),
        RivuletProfileMode(name: "rivulet-artifact-profile", form: .artifact),
        RivuletMode(name: "rivulet-artifact-predicted", form: .artifactPredicted),
        RivuletMode(name: "rivulet-artifact-pack", form: .artifactPack), LocalMode(), StreamMode(),
    ]

    /// Those that a grid runs when none are named: all that need nothing but Debian's packages, once.
    public static let usual = ["overlayfs", "rivulet", "rivulet-profile", "rivulet-warm", "local", "stream"]

    /// Names separated by commas.
    /// - Throws: `usage`, with what there is.
    public static func list(_ names: String) throws(LabError) -> [any Mode] {
        var modes: [any Mode] = []
        for name in names.split(separator: ",") {
            guard let mode = all.first(where: { $0.name == name }) else {
                let known = all.map(\.name).joined(separator: ", ")
                throw LabError(.usage, "there is no mode '\(name)'; there are \(known)")
            }
            modes.append(mode)
        }
        return modes
    }
}
