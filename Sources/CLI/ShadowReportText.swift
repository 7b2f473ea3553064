import Base
import Glibc
import Graph
import NestedFormat
import Runtime

/// What shadow runs found, for a person.
enum ShadowReportText {
  static func plans(_ session: Session) -> String {
    var text =
      pad("plan", 20) + left("compared", 9) + left("mean cosine", 13) + left("5th perc.", 11) + left("SNR dB", 8)
    text += left("calibrated", 12) + "\n"
    for (index, rung) in session.ladder.enumerated() {
      let quality = session.fullQuality(rung: index)
      let name = "\(index) " + (rung.uniformLevel?.name ?? "\(rung.mainLevel.name) and others")
      text += pad(name, 20)
      if index == 0 {
        text += left("-", 9) + left("-", 13) + left("-", 11) + left("-", 8)
      } else if let shadowed = quality.shadowed {
        text += left("\(quality.shadowSamples)", 9) + left(fixed(shadowed.meanCosine, 6), 13)
        text += left(fixed(shadowed.p5Cosine, 6), 11)
        text += left(shadowed.noise > 0 ? fixed(-10 * log10(shadowed.noise), 1) : "-", 8)
      } else {
        text += left("0", 9) + left("-", 13) + left("-", 11) + left("-", 8)
      }
      text += left(rung.quality.map { fixed($0.meanCosine, 6) } ?? "-", 12) + "\n"
    }
    return text
  }

  /// Largest magnitudes of the rows of each site's input: calibrated, observed, and how often outside.
  static func drift(_ session: Session) -> String {
    var text = pad("site", 44) + left("calibrated", 17) + left("observed", 17) + left("ratio", 7)
    text += left("outside", 16) + "\n"
    for (index, site) in session.model.graph.sites.enumerated() where site.kind != .embedding {
      let drift = session.drift(site: index)
      text += pad(site.name, 44) + left(summary(drift.calibrated), 17) + left(summary(drift.observed), 17)
      text += left(drift.ratio > 0 ? fixed(drift.ratio, 2) : "-", 7)
      let rows = drift.observed?.rows ?? 0
      text += left(drift.calibrated == nil || rows == 0 ? "-" : "\(drift.rowsOutside) of \(rows)", 16) + "\n"
    }
    return text + "each: mean and standard deviation of the largest magnitudes in the rows of the site's input\n"
  }

  /// Mean and deviation.
  static func summary(_ range: SiteRange?) -> String {
    range.map { "\(fixed($0.mean, 3)) +- \(fixed($0.deviation, 3))" } ?? "unknown"
  }
}
