import Base
import CAdaptQ

// Options of matrices and of their groups.

extension Option {
  var matrixRule: OptionRule {
    func field(
      _ name: StaticString, _ type: Int, from minimum: Int64 = 0, to maximum: Int64 = 0, defaultValue: Int = 0,
      status: Status = .invalidArgument, owner: StaticString = "adaptq_matrix_options", _ description: StaticString
    ) -> OptionRule {
      OptionRule(
        owner: owner, name: name, type: type, minimum: Double(minimum), maximum: Double(maximum),
        defaultValue: Double(defaultValue), status: status, description: description)
    }
    return switch self {
    case .matrixN:
      field("n", ADAPTQ_OPTION_INT64, from: 1, to: 1 << 31, status: .outOfRange, "outputs")
    case .matrixK:
      field("k", ADAPTQ_OPTION_INT64, from: 1, to: 1 << 24, status: .outOfRange, "inputs")
    case .matrixWeights: field("weights", ADAPTQ_OPTION_POINTER, "the weights; not NULL")
    case .matrixRowStride:
      field("row_stride", ADAPTQ_OPTION_INT64, to: .max, "elements; 0: k, or 1 if column_stride is above 1")
    case .matrixColumnStride: field("column_stride", ADAPTQ_OPTION_INT64, to: .max, "elements; 0: 1")
    case .matrixBias: field("bias", ADAPTQ_OPTION_POINTER, "n floats; NULL: none")
    case .matrixWeightType:
      field(
        "weight_type", ADAPTQ_OPTION_INT32, to: Int64(ADAPTQ_WEIGHTS_UINT8), defaultValue: ADAPTQ_WEIGHTS_FLOAT32,
        "ADAPTQ_WEIGHTS_*")
    case .matrixGroupSize:
      field(
        "group_size", ADAPTQ_OPTION_INT32, to: Int64(Int32.max), defaultValue: 64,
        "inputs that share a scale: 64, 128, ADAPTQ_GROUP_ALL; others are not supported")
    case .matrixScaleKind:
      field("scale_kind", ADAPTQ_OPTION_INT32, to: Int64(ADAPTQ_SCALES_OUTPUT), "ADAPTQ_SCALES_*")
    case .matrixActivationScales:
      field(
        "activation_scales", ADAPTQ_OPTION_INT32, to: Int64(ADAPTQ_ACTIVATION_SCALES_ROW), "ADAPTQ_ACTIVATION_SCALES_*")
    case .matrixWeightScales:
      field("weight_scales", ADAPTQ_OPTION_POINTER, "n floats, with weights that are codes; else NULL")
    case .matrixZeroPoints:
      field("zero_points", ADAPTQ_OPTION_POINTER, "n integers, with weights that are codes; NULL: 0")
    case .matrixKeep:
      field(
        "keep", ADAPTQ_OPTION_UINT32, to: Int64(ADAPTQ_ALLOW_FP16 | ADAPTQ_ALLOW_FP32),
        "ADAPTQ_ALLOW_FP16, ADAPTQ_ALLOW_FP32, both or 0; other bits are refused")
    case .matrixExpand: field("expand", ADAPTQ_OPTION_INT32, to: Int64(ADAPTQ_EXPAND_OFF), "ADAPTQ_EXPAND_*")
    case .matrixMaxRows:
      field(
        "max_rows", ADAPTQ_OPTION_INT64, to: 1 << 31, defaultValue: 16, status: .outOfRange,
        "rows of a call without a workspace of its own")
    case .matrixOpenMaxRows:
      field(
        "max_rows", ADAPTQ_OPTION_INT64, to: 1 << 31, defaultValue: 16, status: .outOfRange,
        owner: "adaptq_matrix_open_options", "rows of a call without a workspace of its own")
    case .matrixOpenExpand:
      field(
        "expand", ADAPTQ_OPTION_INT32, to: Int64(ADAPTQ_EXPAND_OFF), owner: "adaptq_matrix_open_options",
        "ADAPTQ_EXPAND_*")
    default: field("name", ADAPTQ_OPTION_POINTER, "UTF-8, for files; NULL: empty")
    }
  }

  var groupRule: OptionRule {
    func field(
      _ name: StaticString, _ type: Int, to maximum: Double = 0, defaultValue: Double = 0,
      status: Status = .invalidArgument, _ description: StaticString
    ) -> OptionRule {
      OptionRule(
        owner: "adaptq_group_options", name: name, type: type, maximum: maximum, defaultValue: defaultValue,
        status: status, description: description)
    }
    return switch self {
    case .groupMaxRows:
      field(
        "max_rows", ADAPTQ_OPTION_INT64, to: Double(Int64(1) << 31), defaultValue: 1, status: .outOfRange,
        "rows of a product in a frame")
    case .groupMeasureTime:
      field(
        "measure_ns", ADAPTQ_OPTION_INT64, to: Double((Int64(1) << 50) - 1),
        "nanoseconds after which no further measurement is begun; 0: about 400 ms per number of rows")
    case .groupImportance:
      field("importance", ADAPTQ_OPTION_POINTER, "one number above 0 per matrix; NULL: all alike")
    default:
      field(
        "allowed_levels", ADAPTQ_OPTION_UINT32, to: Double(ADAPTQ_ALLOW_ALL), defaultValue: Double(ADAPTQ_ALLOW_ALL),
        "set of ADAPTQ_ALLOW_*: levels to use, of those that every matrix holds")
    }
  }

  var matrixOffset: Int? {
    switch self {
    case .matrixName: MemoryLayout<adaptq_matrix_options>.offset(of: \.name)
    case .matrixN: MemoryLayout<adaptq_matrix_options>.offset(of: \.n)
    case .matrixK: MemoryLayout<adaptq_matrix_options>.offset(of: \.k)
    case .matrixWeights: MemoryLayout<adaptq_matrix_options>.offset(of: \.weights)
    case .matrixRowStride: MemoryLayout<adaptq_matrix_options>.offset(of: \.row_stride)
    case .matrixColumnStride: MemoryLayout<adaptq_matrix_options>.offset(of: \.column_stride)
    case .matrixBias: MemoryLayout<adaptq_matrix_options>.offset(of: \.bias)
    case .matrixWeightType: MemoryLayout<adaptq_matrix_options>.offset(of: \.weight_type)
    case .matrixGroupSize: MemoryLayout<adaptq_matrix_options>.offset(of: \.group_size)
    case .matrixScaleKind: MemoryLayout<adaptq_matrix_options>.offset(of: \.scale_kind)
    case .matrixActivationScales: MemoryLayout<adaptq_matrix_options>.offset(of: \.activation_scales)
    case .matrixWeightScales: MemoryLayout<adaptq_matrix_options>.offset(of: \.weight_scales)
    case .matrixZeroPoints: MemoryLayout<adaptq_matrix_options>.offset(of: \.zero_points)
    case .matrixKeep: MemoryLayout<adaptq_matrix_options>.offset(of: \.keep)
    case .matrixExpand: MemoryLayout<adaptq_matrix_options>.offset(of: \.expand)
    case .matrixMaxRows: MemoryLayout<adaptq_matrix_options>.offset(of: \.max_rows)
    case .matrixOpenMaxRows: MemoryLayout<adaptq_matrix_open_options>.offset(of: \.max_rows)
    case .matrixOpenExpand: MemoryLayout<adaptq_matrix_open_options>.offset(of: \.expand)
    case .groupLevels: MemoryLayout<adaptq_group_options>.offset(of: \.allowed_levels)
    case .groupMaxRows: MemoryLayout<adaptq_group_options>.offset(of: \.max_rows)
    case .groupMeasureTime: MemoryLayout<adaptq_group_options>.offset(of: \.measure_ns)
    case .groupImportance: MemoryLayout<adaptq_group_options>.offset(of: \.importance)
    default: nil
    }
  }
}
