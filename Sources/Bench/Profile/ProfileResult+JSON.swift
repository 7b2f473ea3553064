import Base
import NestedFormat

// As docs/bench.md describes it.

extension ProfileResult {
  var json: JSON {
    .object([
      .init("path", .string(path)), .init("bytes", .integer(byteCount)), .init("batch", .integer(1)),
      .init("clock_ns", .number(clockNanoseconds)), .init("points", .array(points.map(\.json))),
    ])
  }
}

extension ProfilePoint {
  fileprivate var json: JSON {
    .object([.init("tokens", .integer(length)), .init("levels", .array(rows.map(\.json)))])
  }
}

extension ProfileRow {
  fileprivate var json: JSON {
    .object([
      .init("level", .string(level.name)), .init("untraced", .object(untraced.members)),
      .init("traced", .object(traced.members)), .init("rest_ns", .number(rest)),
      .init("outside_ns", .number(outside)),
      .init(
        "parts",
        .array(
          parts.map { part in
            .object([
              .init("operation", .string(part.operation)), .init("ns", .number(part.nanoseconds)),
              .init("share", .number(share(part.nanoseconds))), .init("calls", .integer(part.calls)),
              .init("rate", optional(part.rate)), .init("unit", part.unit.map { .string($0) } ?? .null),
              .init("limit", part.limit.map { .string($0) } ?? .null),
              .init("share_of_limit", optional(part.shareOfLimit)),
            ])
          })),
      .init("steps", .array(steps.map { json($0) })),
    ])
  }

  private func json(_ step: ProfileStep) -> JSON {
    .object([
      .init("step", .integer(step.step)), .init("operation", .string(step.operation)),
      .init("site", step.site.map { .string($0) } ?? .null),
      .init("n", step.shape.first.map { .integer($0) } ?? .null),
      .init("k", step.shape.last.map { .integer($0) } ?? .null),
      .init("rows", step.work.map { .integer($0.rows) } ?? .null), .init("ns", .number(step.nanoseconds)),
      .init("share", .number(share(step.nanoseconds))), .init("calls", .integer(step.calls)),
      .init("rate", optional(step.rate)), .init("unit", step.work.map { .string($0.limit.unit) } ?? .null),
      .init("limit", step.work.map { .string($0.limit.name) } ?? .null),
      .init("share_of_limit", optional(step.shareOfLimit)),
    ])
  }
}

private func optional(_ value: Double?) -> JSON { value.map { .number($0) } ?? .null }
