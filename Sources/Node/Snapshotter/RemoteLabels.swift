/// The labels with which clients name a remote layer. Their values are untrusted input.
enum RemoteLabels {
    static let imageReference = "containerd.io/snapshot/cri.image-ref"
    static let manifestDigest = "containerd.io/snapshot/cri.manifest-digest"
    static let layerDigest = "containerd.io/snapshot/cri.layer-digest"
    /// The image's reference. stargz-snapshotter's `ctr-remote images rpull` sets this label and the next one.
    static let stargzReference = "containerd.io/snapshot/remote/stargz.reference"
    static let stargzDigest = "containerd.io/snapshot/remote/stargz.digest"
}
