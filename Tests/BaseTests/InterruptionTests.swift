import CMachine
import Glibc
import Testing

/// Where the system tells nothing, it says so; where it tells, it has to be right.
@Suite struct InterruptionTests {
  @Test func seesWhoLosesTheCPU() {
    cmachine_watch_interruption()
    if cmachine_was_interrupted() < 0 { return }
    for _ in 0..<100 {
      cmachine_watch_interruption()
      usleep(10)
      #expect(cmachine_was_interrupted() == 1)
    }
    // A few instructions are hardly ever interrupted.
    var kept = 0
    for _ in 0..<1000 {
      cmachine_watch_interruption()
      if cmachine_was_interrupted() == 0 { kept += 1 }
    }
    #expect(kept >= 900)
    // The watch has ended.
    #expect(cmachine_was_interrupted() != 0)
  }
}
