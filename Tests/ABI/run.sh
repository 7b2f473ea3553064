#!/usr/bin/env bash
# The C ABI tests: header, built library, and C programs linked through pkg-config against an installed tree.
# Prints a line per test ("ok ", "FAIL ", "skip ") and last "N passed, N failed, N skipped". Run from anywhere.
#
#   Tests/ABI/run.sh            against build/abi/prefix, installed here from .build/release
#   ASAN=1 Tests/ABI/run.sh     programs and library under AddressSanitizer (library built in .build-asan, needs clang)
#   TSAN=1 Tests/ABI/run.sh     the same under ThreadSanitizer (.build-tsan)
#   ONLY=session Tests/ABI/run.sh   only programs whose name contains "session"
#   ADAPTQ_TEST_MODEL           a .adaptq file for the tests that need a model; they are skipped without it
#   ADAPTQ_ABI_SUMMARY          a file that receives the last line too
set -uo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
tests=$root/Tests/ABI
sanitizer=
[ -n "${ASAN:-}" ] && sanitizer=address
[ -n "${TSAN:-}" ] && sanitizer=thread
build=$root/build/abi${sanitizer:+-$sanitizer}
mkdir -p "$build"
log=$build/log
: >"$log"

say() { printf '%s\n' "$*" | tee -a "$log"; }
# check NAME COMMAND...: one test that passes when the command does; its output is shown when it does not.
check() {
  local name=$1 output
  shift
  if output=$("$@" 2>&1); then say "ok $name"; else printf '%s\n' "$output" | sed 's/^/  /'; say "FAIL $name"; fi
}
have() { command -v "$1" >/dev/null 2>&1; }
finish() {
  local line
  line="$(grep -c '^ok ' "$log") passed, $(grep -c '^FAIL ' "$log") failed, $(grep -c '^skip ' "$log") skipped"
  [ -n "${ADAPTQ_ABI_SUMMARY:-}" ] && printf '%s\n' "$line" >"$ADAPTQ_ABI_SUMMARY"
  printf '%s\n' "$line"
  ! grep -q '^FAIL ' "$log"
}

declared() { sed -n 's/^ADAPTQ_API .*[ *]\(adaptq_[a-z0-9_]*\)(.*/\1/p' include/adaptq.h | LC_ALL=C sort; }
warnings=(-Wall -Wextra -Wpedantic -Werror)

# ---------------------------------------------------------------------------------------------------- sanitizer builds
if [ -n "$sanitizer" ]; then
  short=asan
  [ $sanitizer = thread ] && short=tsan
  scratch=$root/.build-$short
  if ! have clang; then
    say "skip sanitizer.$sanitizer: no clang (the Swift toolchain has one)"
    finish
    exit
  fi
  check "sanitizer.library-builds" env ADAPTQ_SANITIZE=$sanitizer \
    swift build -c release --sanitize=$sanitizer --scratch-path "$scratch" --product adaptq
  library=$scratch/release
  ln -sf libadaptq.so "$library/libadaptq.so.0"
  swift_libraries=$(dirname "$(dirname "$(readlink -f "$(command -v swift)")")")/lib/swift/linux
  compiler=clang
  # The library of the same Swift release as the compiler: the sanitizer's run time in the program serves both.
  # lld, because gold complains about every function of that run time. ThreadSanitizer's wants libdispatch.
  flags=(-fsanitize=$sanitizer -fno-omit-frame-pointer -fuse-ld=lld -I"$root/include" -L"$library" -Wl,-rpath,"$library")
  libraries=(-ladaptq)
  [ $sanitizer = thread ] && libraries+=(-L"$swift_libraries" -Wl,-rpath,"$swift_libraries" -ldispatch -lBlocksRuntime)
  export TSAN_OPTIONS=${TSAN_OPTIONS:-suppressions=$tests/tsan.supp}
  export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1:allocator_may_return_null=1}
else
  # -------------------------------------------------------------------------------------------------- installed tree
  prefix=$build/prefix
  rm -rf "$prefix"
  check "install.make-install" make --no-print-directory -C "$root" install PREFIX="$prefix" DESTDIR=
  export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
  check "install.pkg-config" pkg-config --exists --print-errors adaptq
  version=$(sed -n 's/^#define ADAPTQ_VERSION_STRING "\(.*\)"$/\1/p' include/adaptq.h)
  check "install.pkg-config-version" test "$(pkg-config --modversion adaptq)" = "$version"
  check "install.destdir" bash -c '
    set -e
    stage=$(mktemp -d); trap "rm -rf $stage" EXIT
    make --no-print-directory install PREFIX=/usr DESTDIR="$stage" >/dev/null
    test -f "$stage/usr/lib/libadaptq.so.'"$version"'" -a -L "$stage/usr/lib/libadaptq.so.0" -a -L "$stage/usr/lib/libadaptq.so"
    test -f "$stage/usr/include/adaptq.h" -a -f "$stage/usr/include/adaptq.hpp"
    test -s "$stage/usr/share/doc/adaptq/libhwloc.copyright"
    ! grep -q "$stage" "$stage/usr/lib/pkgconfig/adaptq.pc"'

  # --------------------------------------------------------------------------------------------------------- library
  so=$prefix/lib/libadaptq.so
  exported() { nm -D --defined-only --extern-only "$so" | awk '{ sub(/@.*/, "", $3); print $3 }' | LC_ALL=C sort; }
  only_adaptq() { local other; other=$(exported | grep -v '^adaptq_'); [ -z "$other" ] || { echo "$other"; false; }; }
  needed_libraries() {
    local other
    other=$(readelf -d "$so" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
      grep -vxE 'libm\.so\.6|libstdc\+\+\.so\.6|libgcc_s\.so\.1|libc\.so\.6|ld-linux-x86-64\.so\.2')
    [ -z "$other" ] || { echo "needs $other"; false; }
  }
  check "library.exports-only-adaptq" only_adaptq
  check "library.exports-what-the-header-declares" diff <(declared) <(exported)
  check "library.needs-only-system-libraries" needed_libraries
  check "library.soname" bash -c "readelf -d '$so' | grep -q 'SONAME.*\[libadaptq\.so\.0\]'"
  check "library.nodelete" bash -c "readelf -d '$so' | grep -q 'FLAGS_1.*NODELETE'"
  check "library.no-text-relocations" bash -c "! readelf -d '$so' | grep -q TEXTREL"
  check "library.no-executable-stack" bash -c "! readelf -lW '$so' | grep GNU_STACK | grep -q E"
  # What gdb looks for in the table of symbols, and nothing else.
  only_for_gdb() {
    local symbols
    symbols=$(readelf -sW "$so" | sed -n "/'\.symtab'/,\$p" | awk '$4 == "FUNC" || $4 == "OBJECT" || $4 == "NOTYPE" {print $8}' | grep .)
    [ "$(sort <<<"$symbols" | tr '\n' ' ')" = "__jit_debug_descriptor __jit_debug_register_code " ] || { echo "$symbols" | head; false; }
  }
  check "library.stripped" only_for_gdb
  size=$(stat -Lc %s "$so" 2>/dev/null || echo 0)
  check "library.below-9.5-MB ($size bytes)" test "$size" -gt 0 -a "$size" -lt 9500000

  # ---------------------------------------------------------------------------------------------------------- header
  check "header.c11-gcc" gcc -std=c11 "${warnings[@]}" -Iinclude -fsyntax-only "$tests/header.c"
  check "header.c++17-gcc" g++ -std=c++17 -xc++ "${warnings[@]}" -Iinclude -fsyntax-only "$tests/header.c"
  if have clang; then
    check "header.c11-clang" clang -std=c11 "${warnings[@]}" -Iinclude -fsyntax-only "$tests/header.c"
    check "header.c++17-clang" clang++ -std=c++17 -xc++ "${warnings[@]}" -Iinclude -fsyntax-only "$tests/header.c"
  else
    say "skip header.clang: no clang"
  fi

  # Other platforms get a message of ours. refused MESSAGE OPTIONS...: the header does not compile, with that message.
  refused() {
    local message=$1 output
    shift
    output=$(gcc -std=c11 -Iinclude -fsyntax-only "$@" "$tests/header.c" 2>&1) && { echo "it compiles"; return 1; }
    grep -q "#error \"$message" <<<"$output" || { head -n 5 <<<"$output"; return 1; }
  }
  check "header.refuses-other-systems" refused "adaptq supports Linux on x86-64" -U__linux__
  check "header.refuses-other-processors" refused "adaptq supports Linux on x86-64" -U__x86_64__
  check "header.refuses-32-bit-pointers" refused "adaptq supports Linux on x86-64" -D__ILP32__
  check "header.refuses-other-byte-orders" refused "adaptq supports Linux on x86-64" -U__BYTE_ORDER__ -D__BYTE_ORDER__=4321
  for version in 35 17; do
    printf '#include <features.h>\n#undef __GLIBC_MINOR__\n#define __GLIBC_MINOR__ %s\n' $version >"$build/old_glibc.h"
    check "header.refuses-glibc-2.$version" refused "adaptq needs glibc 2.36" -include "$build/old_glibc.h"
  done
  printf '#include <features.h>\n#undef __GLIBC__\n' >"$build/old_glibc.h"
  check "header.refuses-other-c-libraries" refused "adaptq needs glibc 2.36" -include "$build/old_glibc.h"

  # --------------------------------------------------------------------------------------------------- documentation
  # Every public declaration of both headers has a comment that Doxygen understands.
  bare_enumerators() { ! grep -nE '^  ADAPTQ_[A-Z0-9_]+ = [0-9]+,? *$' "$root/include/adaptq.h"; }
  check "docs.every-enumerator" bare_enumerators  # older Doxygens do not look at these
  if have doxygen; then check "docs.doxygen" make --no-print-directory -C "$root" docs
  else say "skip docs.doxygen: no doxygen"; fi

  compiler=gcc
  read -r -a flags <<<"$(pkg-config --cflags adaptq)"
  read -r -a libraries <<<"$(pkg-config --libs adaptq) -Wl,-rpath,$prefix/lib"
fi

# --------------------------------------------------------------------------------------------------------------- programs
compile() {
  "$compiler" -std=c11 -O1 -g "${warnings[@]}" -pthread -DADAPTQ_TESTS="\"$root/Tests\"" "${flags[@]}" \
    -I"$tests" "$1" -o "$2" "${@:3}" "${libraries[@]}" -lm
}
# run_program NAME COMMAND...: a program of check.h's kind; a crash or a missing end is a failure of its own.
run_program() {
  local name=$1 output status
  shift
  output=$("$@" 2>&1 </dev/null)
  status=$?
  printf '%s\n' "$output" | grep -v '^end$' | tee -a "$log"
  if [ $status -gt 1 ] || ! grep -q '^end$' <<<"$output"; then say "FAIL $name: ended with status $status"; fi
}

[ -z "$sanitizer" ] && check "shim.compiles" gcc -std=c11 -O1 -fno-builtin "${warnings[@]}" -fPIC -shared \
  "$tests/count_malloc.c" -o "$build/count_malloc.so"

# A small model that has a tokenizer, texts of its own and every level.
export ADAPTQ_TEST_SMALL_MODEL=${ADAPTQ_TEST_SMALL_MODEL:-$build/small.adaptq}
check "small-model.made" python3 "$tests/make_small.py" "$build/small.adaptq"

for source in "$tests"/test_*.c; do
  name=$(basename "$source" .c)
  [[ $name == *${ONLY:-}* ]] || continue
  check "$name.compiles" compile "$source" "$build/$name"
  if [ -z "$sanitizer" ] && have clang; then
    check "$name.compiles-clang" clang -std=c11 "${warnings[@]}" "${flags[@]}" -I"$tests" -fsyntax-only "$source"
  fi
  [ -x "$build/$name" ] || continue
  case $name in
    test_marks)
      [ -n "$sanitizer" ] && continue
      for mode in quiet noisy; do
        run_program "$name.$mode" env LD_PRELOAD="$build/count_malloc.so" "$build/$name" $mode
        "$tests/strace_between.sh" "$build/$name" $mode >/dev/null 2>&1
        status=$?
        want=0
        [ $mode = noisy ] && want=1
        if [ $status = 77 ]; then say "skip $name.strace-$mode: strace may not trace here"
        else check "$name.strace-$mode" test $status = $want; fi
      done
      ;;
    test_matrix_calls)
      if [ -n "$sanitizer" ]; then run_program "$name" "$build/$name"; continue; fi
      # With portable kernels as well: they must not take memory either.
      for isa in "" portable; do
        run_program "$name${isa:+.$isa}" env ${isa:+ADAPTQ_MAX_ISA=$isa} LD_PRELOAD="$build/count_malloc.so" "$build/$name"
        output=$(env ${isa:+ADAPTQ_MAX_ISA=$isa} "$tests/strace_between.sh" "$build/$name" 2>&1)
        status=$?
        if [ $status = 77 ]; then say "skip $name.no-system-calls${isa:+-$isa}: strace may not trace here"
        else
          [ $status = 0 ] || printf '%s\n' "$output"
          check "$name.no-system-calls${isa:+-$isa}" test $status = 0
        fi
      done
      ;;
    test_states|test_group|test_shadow|test_thread_choice)
      if [ -n "$sanitizer" ]; then run_program "$name" "$build/$name"; continue; fi
      run_program "$name" env LD_PRELOAD="$build/count_malloc.so" "$build/$name"
      # Workers are woken and waited for with futex. Without the model of this test it makes no marks.
      allow=
      if [ $name = test_thread_choice ]; then
        allow=futex
        if [ -z "${ADAPTQ_TEST_MODEL:-}" ]; then
          say "skip $name.no-system-calls: ADAPTQ_TEST_MODEL is not set"
          continue
        fi
      fi
      output=$(ALLOW=$allow "$tests/strace_between.sh" "$build/$name" 2>&1)
      status=$?
      if [ $status = 77 ]; then say "skip $name.no-system-calls: strace may not trace here"
      else
        [ $status = 0 ] || printf '%s\n' "$output"
        check "$name.no-system-calls" test $status = 0
      fi
      ;;
    test_runs)
      if [ -n "$sanitizer" ]; then run_program "$name" "$build/$name"; continue; fi
      for threads in 0 1 3; do
        run_program "$name.threads-$threads" env LD_PRELOAD="$build/count_malloc.so" "$build/$name" $threads
        if [ -z "${ADAPTQ_TEST_MODEL:-}" ]; then
          say "skip $name.no-system-calls-$threads: ADAPTQ_TEST_MODEL is not set"
          continue
        fi
        # Workers are woken and waited for with futex.
        allow=futex
        [ $threads = 1 ] && allow=
        output=$(ALLOW=$allow "$tests/strace_between.sh" "$build/$name" $threads 2>&1)
        status=$?
        if [ $status = 77 ]; then say "skip $name.no-system-calls-$threads: strace may not trace here"
        else
          [ $status = 0 ] || printf '%s\n' "$output"
          check "$name.no-system-calls-$threads" test $status = 0
        fi
      done
      ;;
    test_fork)
      # ThreadSanitizer ends a child of a program with threads when it makes threads of its own, unless told not to.
      run_program "$name" env TSAN_OPTIONS="${TSAN_OPTIONS:-}:die_after_fork=0" "$build/$name"
      [ -n "$sanitizer" ] && continue
      # The second best way of noticing a fork, as on a kernel without MADV_WIPEONFORK.
      if ! strace -qq -o /dev/null true 2>/dev/null; then say "skip $name.no-wipe-on-fork: strace may not trace here"
      else run_program "$name.no-wipe-on-fork" strace -f -qq -o /dev/null -e trace=madvise \
        -e inject=madvise:error=EINVAL "$build/$name" one
      fi
      ;;
    test_telemetry_file)
      # Children of it make sessions of their own; its readers are the test's and the command's.
      settings=(TSAN_OPTIONS="${TSAN_OPTIONS:-}:die_after_fork=0")
      [ -z "$sanitizer" ] && [ -x "$prefix/bin/adaptq" ] && settings+=(ADAPTQ_COMMAND="$prefix/bin/adaptq")
      run_program "$name" env "${settings[@]}" "$build/$name"
      ;;
    test_failing_allocations)
      if [ -n "$sanitizer" ]; then run_program "$name" "$build/$name"; continue; fi
      run_program "$name" env LD_PRELOAD="$build/count_malloc.so" "$build/$name"
      ;;
    test_wrong_use)
      run_program "$name" "$build/$name"
      [ -n "$sanitizer" ] && continue
      "$build/$name" --table >"$build/wrong-use.md"
      check "$name.table-is-up-to-date" diff "$root/docs/wrong-use.md" "$build/wrong-use.md"
      check "$name.every-function" diff <(declared) \
        <(sed -n 's/^| `\(adaptq_[a-z0-9_]*\)`.*/\1/p' "$build/wrong-use.md" | LC_ALL=C sort -u)
      ;;
    test_probe)
      run_program "$name" "$build/$name"
      [ -n "$sanitizer" ] && continue
      # Reading the machine loads no library, even for a moment: the dynamic linker logs each one.
      LD_DEBUG=files LD_DEBUG_OUTPUT=$build/probe-ld "$build/$name" >/dev/null 2>"$build/probe-errors"
      check "$name.quiet" bash -c 'test ! -s "$1-errors" && grep -q "libadaptq.so" "$1"-ld.* &&
        ! grep -iE "libOpenCL|cuda|nvidia|libX11|libGL|XNVCtrl|libhwloc|/hwloc/|libudev|libxml|pciaccess|amdgpu|rocm|level_zero|ze_loader" "$1"-ld.*' \
        - "$build/probe"
      rm -f "$build"/probe-ld.*
      ;;
    test_hwloc)
      run_program "$name" "$build/$name"
      [ -n "$sanitizer" ] && continue
      check "$name.quiet" bash -c 'test -z "$("$1" print 2>&1 >/dev/null)"' - "$build/$name"
      # What the library sees is this machine, whatever the host tells its own hwloc to look at.
      for variable in HWLOC_FSROOT=/nonexistent HWLOC_XMLFILE=/nonexistent.xml HWLOC_COMPONENTS=synthetic,stop \
        HWLOC_SYNTHETIC=core:7 HWLOC_PLUGINS_VERBOSE=1 HWLOC_COMPONENTS_VERBOSE=1 HWLOC_THISSYSTEM=0; do
        check "$name.${variable%%=*}-is-the-hosts" bash -c 'cmp <("$1" print 2>&1) <(env "$2" "$1" print 2>&1)' \
          - "$build/$name" "$variable"
      done
      # Beside a libhwloc.so that the host itself uses.
      if ! pkg-config --exists hwloc; then say "skip $name.host: no libhwloc-dev"; continue; fi
      read -r -a hwloc <<<"$(pkg-config --cflags --libs hwloc)"
      check "$name.host-compiles" compile "$source" "$build/$name-host" -DWITH_HWLOC "${hwloc[@]}"
      [ -x "$build/$name-host" ] && run_program "$name.host" "$build/$name-host"
      ;;
    test_allocator)
      if [ -n "$sanitizer" ]; then run_program "$name" "$build/$name"
      else run_program "$name" env LD_PRELOAD="$build/count_malloc.so" "$build/$name"; fi
      ;;
    test_questions)
      run_program "$name" "$build/$name"
      [ -n "$sanitizer" ] && continue
      # As a set-user-ID program of somebody else's, with the library beside it: the environment is not looked at.
      secure=$(mktemp -d /tmp/adaptq-secure-XXXXXX)
      chmod 755 "$secure"
      cp -L "$prefix/lib/libadaptq.so.0" "$secure/"
      gcc -std=c11 -O1 "${flags[@]}" -I"$tests" "$source" -o "$secure/program" -L"$prefix/lib" -ladaptq -lm \
        -Wl,-rpath,"$secure" && chown 65534 "$secure/program" 2>/dev/null && chmod 4755 "$secure/program"
      ADAPTQ_MAX_ISA=nonsense ADAPTQ_PERF_MAP=1 "$secure/program" secure
      status=$?
      if [ $status = 77 ]; then say "skip $name.secure: set-user-ID has no effect here"
      else check "$name.secure" test $status = 0; fi
      rm -rf "$secure"
      ;;
    *) run_program "$name" "$build/$name" ;;
  esac
done

# The command, against the same installed tree.
if [[ command == *${ONLY:-}* ]] && [ -z "$sanitizer" ]; then
  if [ ! -x "$prefix/bin/adaptq" ] || [ -z "${ADAPTQ_TEST_MODEL:-}" ]; then
    say "skip command: needs the command and ADAPTQ_TEST_MODEL"
  else run_program command python3 "$tests/test_command.py" "$prefix/bin/adaptq" "$ADAPTQ_TEST_MODEL"
  fi
fi

# The host and the script of `make bench-budget`.
if [[ bench_budget == *${ONLY:-}* ]] && [ -z "$sanitizer" ]; then
  check "bench_budget.compiles" compile "$root/Tests/Budget/host.c" "$build/budget-host"
  run_program bench_budget python3 "$tests/test_bench_budget.py" "$build/budget-host" ${ADAPTQ_TEST_MODEL:+"$ADAPTQ_TEST_MODEL"}
fi

# Random calls: the full numbers only in long runs.
name=fuzz_calls
if [[ $name == *${ONLY:-}* ]]; then
  calls=20000
  [ "$sanitizer" = thread ] && calls=5000
  [ -n "${ADAPTQ_TEST_LONG:-}" ] && calls=1000000
  [ -n "${ADAPTQ_TEST_LONG:-}" ] && [ "$sanitizer" = thread ] && calls=100000
  check "$name.compiles" compile "$tests/$name.c" "$build/$name"
  run_program "$name" "$build/$name" --calls $calls --seed "${ADAPTQ_FUZZ_SEED:-1}"
  check "$name.every-function" diff <(declared) <("$build/$name" --functions | LC_ALL=C sort)
fi

# Every system call of a whole life made to fail; a sample of them in short runs.
name=inject_syscalls
if [[ $name == *${ONLY:-}* ]] && [ -z "$sanitizer" ]; then
  which=(15 "${ADAPTQ_FUZZ_SEED:-1}")
  [ -n "${ADAPTQ_TEST_LONG:-}" ] && which=(all)
  check "$name.compiles" compile "$tests/inject_host.c" "$build/inject_host"
  # One thread; as many as this machine is good for, which reads what /sys says about it; workers.
  for threads in 1 0 3; do
    output=$(ADAPTQ_INJECT_THREADS=$threads "$tests/inject_syscalls.sh" "$build/inject_host" "${which[@]}" 2>&1)
    status=$?
    printf '%s\n' "$output" | sed 's/^/  /'
    if [ $status = 77 ]; then say "skip $name.threads-$threads: strace may not trace here"
    else check "$name.threads-$threads" test $status = 0; fi
  done
fi

# --------------------------------------------------------------------------------------------------------------------- C++
if [[ hpp == *${ONLY:-}* ]]; then
  source=$tests/test_hpp.cpp
  if [ -n "$sanitizer" ]; then
    check "test_hpp.compiles" clang++ -std=c++17 -O1 -g "${warnings[@]}" -pthread "${flags[@]}" -I"$tests" "$source" \
      -o "$build/test_hpp" "${libraries[@]}"
    [ -x "$build/test_hpp" ] && run_program test_hpp "$build/test_hpp"
  else
    compilers=(g++)
    if have clang++; then compilers+=(clang++); else say "skip test_hpp.clang: no clang++"; fi
    for cxx in "${compilers[@]}"; do
      for standard in c++17 c++20; do
        for mode in -fexceptions -fno-exceptions -DADAPTQ_NO_EXCEPTIONS; do
          name=test_hpp.$cxx.$standard.${mode#-}
          check "$name.compiles" "$cxx" -std=$standard $mode -O1 -g "${warnings[@]}" -pthread "${flags[@]}" -I"$tests" \
            "$source" -o "$build/$name" "${libraries[@]}"
          # Linked programs differ only in the header, so one of each way of errors runs.
          if [ "$standard" = c++17 ] && [ "$mode" != -DADAPTQ_NO_EXCEPTIONS ] && [ -x "$build/$name" ]; then
            run_program "$name" "$build/$name"
          fi
        done
      done
    done
  fi
fi

for source in "$root"/examples-c/*.c; do
  [ -e "$source" ] && [[ -z "${ONLY:-}" || $(basename "$source" .c) == *${ONLY:-}* ]] || continue
  name=$(basename "$source" .c)
  check "examples-c.$name.compiles" compile "$source" "$build/example-$name"
  if [ -z "$sanitizer" ] && have clang; then
    check "examples-c.$name.compiles-clang" clang -std=c11 "${warnings[@]}" "${flags[@]}" -fsyntax-only "$source"
  fi
  # Run as each compiler makes them.
  runs=()
  case $name in
    matrix) runs=("" "100 200 7") ;;
    frames) runs=("--matrices 3 --size 256 --frames 40 --block 10") ;;
    probe) runs=("" --json) ;;
    pool) [ -n "${ADAPTQ_TEST_MODEL:-}" ] && runs=("$ADAPTQ_TEST_MODEL 3") ;;
  esac
  [ ${#runs[@]} -gt 0 ] || { [ "$name" = pool ] && say "skip examples-c.$name.runs: ADAPTQ_TEST_MODEL is not set"; continue; }
  for arguments in "${runs[@]}"; do
    # shellcheck disable=SC2086
    check "examples-c.$name.runs${arguments:+ (with arguments)}" "$build/example-$name" $arguments
  done
  if [ -z "$sanitizer" ] && have clang; then
    check "examples-c.$name.links-clang" clang -std=c11 -O2 "${warnings[@]}" -pthread "${flags[@]}" "$source" \
      -o "$build/example-$name-clang" "${libraries[@]}" -lm
    # shellcheck disable=SC2086
    check "examples-c.$name.runs-clang" "$build/example-$name-clang" ${runs[0]}
  fi
done

for source in "$root"/examples-c/*.cpp; do
  [ -e "$source" ] && [ -z "${ONLY:-}" ] && [ -z "$sanitizer" ] || continue
  name=$(basename "$source")
  for standard in c++17 c++20; do
    check "examples-c.$name.$standard" g++ -std=$standard -O1 "${warnings[@]}" "${flags[@]}" "$source" \
      -o "$build/example-$name" "${libraries[@]}"
    have clang++ && check "examples-c.$name.$standard-clang" clang++ -std=$standard -O1 "${warnings[@]}" "${flags[@]}" \
      "$source" -o "$build/example-$name-clang" "${libraries[@]}"
  done
  if [ -z "${ADAPTQ_TEST_MODEL:-}" ]; then say "skip examples-c.$name.runs: ADAPTQ_TEST_MODEL is not set"
  else
    # The built-in sentences: the two about cats are nearest to each other.
    for program in "$build/example-$name" "$build/example-$name-clang"; do
      [ -x "$program" ] || continue
      output=$("$program" "$ADAPTQ_TEST_MODEL" 2>&1 </dev/null)
      check "examples-c.$name.runs.$(basename "$program")" grep -q 'The cat.*~  A kitten' <<<"$output"
    done
  fi
done

finish
