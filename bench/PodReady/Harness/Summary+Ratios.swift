/// Comparisons of modes in pairs of samples of the same block.
extension Summary {
    static func ratios(_ order: [Group], _ groups: [Group: [SampleRecord]]) -> [Ratio] {
        var perImage: [Ratio] = []
        /// The ratios of the blocks, in one array for each image.
        var all: [Comparison: [[Double]]] = [:]
        var comparisons: [Comparison] = []
        for group in order {
            for baseline in order where isCompared(group, with: baseline) {
                let values = pairs(groups[group] ?? [], groups[baseline] ?? [])
                guard let ratio = Statistics.median(values), let interval = Statistics.medianInterval(values) else {
                    continue
                }
                let comparison = Comparison(
                    edition: group.edition, network: group.network, mode: group.mode, than: baseline.mode)
                perImage.append(comparison.ratio(of: group.image, values.count, blocks: values.count, ratio, interval))
                if all[comparison] == nil { comparisons.append(comparison) }
                all[comparison, default: []].append(values)
            }
        }
        let together = comparisons.compactMap { comparison -> Ratio? in
            let images = all[comparison] ?? []
            guard images.count > 1, let ratio = mean(images),
                let interval = Statistics.bootstrap(images, rounds: 2000, mean)
            else { return nil }
            let blocks = images.map(\.count).min() ?? 0
            return comparison.ratio(of: nil, images.count, blocks: blocks, ratio, interval)
        }
        return perImage + together
    }

    private struct Comparison: Hashable {
        var edition: String
        var network: String
        var mode: String
        var than: String

        func ratio(
            of image: String?, _ pairs: Int, blocks: Int, _ ratio: Double, _ interval: Statistics.Interval
        ) -> Ratio {
            Ratio(
                image: image, edition: edition, network: network, mode: mode, than: than, pairs: pairs, blocks: blocks,
                ratio: ratio, interval: interval)
        }
    }

    /// Returns true for a comparison with a mode of Rivulet. Modes of Rivulet are compared only with `rivulet`.
    private static func isCompared(_ group: Group, with baseline: Group) -> Bool {
        guard group.image == baseline.image, group.edition == baseline.edition, group.network == baseline.network,
            group.mode != baseline.mode, baseline.mode.hasPrefix("rivulet"), baseline.mode != "rivulet-aa"
        else { return false }
        return !group.mode.hasPrefix("rivulet") || baseline.mode == "rivulet"
    }

    /// Returns one ratio for each block in which both samples succeeded.
    static func pairs(_ samples: [SampleRecord], _ baseline: [SampleRecord]) -> [Double] {
        samples.compactMap { sample in
            guard sample.error == nil, let ready = sample.ready,
                let other = baseline.first(where: { $0.key.block == sample.key.block && $0.error == nil })?.ready,
                other > 0
            else { return nil }
            return ready / other
        }
    }

    private static func mean(_ images: [[Double]]) -> Double? {
        Statistics.geometricMean(images.compactMap(Statistics.median))
    }
}
