import CAdaptQ
import Control

extension Option {
  var shadowRule: OptionRule {
    switch self {
    case .allowShadow:
      OptionRule(
        owner: "adaptq_session_options", name: "shadow", type: ADAPTQ_OPTION_INT32, maximum: 1,
        description: "1: adaptq_session_shadow may be called")
    case .shadowPlan:
      OptionRule(
        owner: "adaptq_shadow_options", name: "plan", type: ADAPTQ_OPTION_INT32,
        maximum: Double(ControllerConfiguration.maximumRungs - 1), status: .outOfRange,
        description: "plan to compare with plan 0, one of the session's; 0: the session chooses")
    case .shadowThreads:
      OptionRule(
        owner: "adaptq_shadow_options", name: "max_threads", type: ADAPTQ_OPTION_INT32,
        maximum: Double(ADAPTQ_MAX_THREADS), description: "at most so many threads for this call; 0: no limit")
    case .shadowForget:
      OptionRule(
        owner: "adaptq_shadow_options", name: "forget", type: ADAPTQ_OPTION_INT32, maximum: 1,
        description: "1: forgets first what was found before")
    default:
      OptionRule(
        owner: "adaptq_session_report_quality", name: "score", type: ADAPTQ_OPTION_DOUBLE, maximum: 1,
        status: .outOfRange, description: "quality of a result, comparable with the cosines of floors")
    }
  }
}
