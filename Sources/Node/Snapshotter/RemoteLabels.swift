/// The labels by which clients name a remote layer. Their values are hostile until checked.
enum RemoteLabels {
    static let imageReference = "containerd.io/snapshot/cri.image-ref"
    static let manifestDigest = "containerd.io/snapshot/cri.manifest-digest"
    static let layerDigest = "containerd.io/snapshot/cri.layer-digest"
    /// The image's reference and the layer's blob as `ctr-remote images rpull` of stargz-snapshotter names them.
    static let stargzReference = "containerd.io/snapshot/remote/stargz.reference"
    static let stargzDigest = "containerd.io/snapshot/remote/stargz.digest"
}
