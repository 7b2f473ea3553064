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
    test -f "$stage/usr/include/adaptq.h"
    ! grep -q "$stage" "$stage/usr/lib/pkgconfig/adaptq.pc"'

  # --------------------------------------------------------------------------------------------------------- library
  so=$prefix/lib/libadaptq.so
  exported() { nm -D --defined-only --extern-only "$so" | awk '{ sub(/@.*/, "", $3); print $3 }' | LC_ALL=C sort; }
  declared() { sed -n 's/^ADAPTQ_API .*[ *]\(adaptq_[a-z0-9_]*\)(.*/\1/p' include/adaptq.h | LC_ALL=C sort; }
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
  check "library.stripped" bash -c "! readelf -SW '$so' | grep -q '\.symtab'"
  size=$(stat -Lc %s "$so" 2>/dev/null || echo 0)
  check "library.below-9-MB ($size bytes)" test "$size" -gt 0 -a "$size" -lt 9000000

  # ---------------------------------------------------------------------------------------------------------- header
  check "header.c11-gcc" gcc -std=c11 "${warnings[@]}" -Iinclude -fsyntax-only "$tests/header.c"
  check "header.c++17-gcc" g++ -std=c++17 -xc++ "${warnings[@]}" -Iinclude -fsyntax-only "$tests/header.c"
  if have clang; then
    check "header.c11-clang" clang -std=c11 "${warnings[@]}" -Iinclude -fsyntax-only "$tests/header.c"
    check "header.c++17-clang" clang++ -std=c++17 -xc++ "${warnings[@]}" -Iinclude -fsyntax-only "$tests/header.c"
  else
    say "skip header.clang: no clang"
  fi

  compiler=gcc
  read -r -a flags <<<"$(pkg-config --cflags adaptq)"
  read -r -a libraries <<<"$(pkg-config --libs adaptq) -Wl,-rpath,$prefix/lib"
fi

# --------------------------------------------------------------------------------------------------------------- programs
compile() {
  "$compiler" -std=c11 -O1 -g "${warnings[@]}" -pthread -DADAPTQ_TESTS="\"$root/Tests\"" "${flags[@]}" \
    -I"$tests" "$1" -o "$2" "${libraries[@]}" -lm
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
    test_states)
      if [ -n "$sanitizer" ]; then run_program "$name" "$build/$name"; continue; fi
      run_program "$name" env LD_PRELOAD="$build/count_malloc.so" "$build/$name"
      output=$("$tests/strace_between.sh" "$build/$name" 2>&1)
      status=$?
      if [ $status = 77 ]; then say "skip $name.no-system-calls: strace may not trace here"
      else
        [ $status = 0 ] || printf '%s\n' "$output"
        check "$name.no-system-calls" test $status = 0
      fi
      ;;
    test_runs)
      if [ -n "$sanitizer" ]; then run_program "$name" "$build/$name"; continue; fi
      run_program "$name" env LD_PRELOAD="$build/count_malloc.so" "$build/$name"
      if [ -z "${ADAPTQ_TEST_MODEL:-}" ]; then
        say "skip $name.no-system-calls: ADAPTQ_TEST_MODEL is not set"
      else
        output=$("$tests/strace_between.sh" "$build/$name" 2>&1)
        status=$?
        if [ $status = 77 ]; then say "skip $name.no-system-calls: strace may not trace here"
        else
          [ $status = 0 ] || printf '%s\n' "$output"
          check "$name.no-system-calls" test $status = 0
        fi
      fi
      ;;
    *) run_program "$name" "$build/$name" ;;
  esac
done

for source in "$root"/examples-c/*.c; do
  [ -e "$source" ] && [ -z "${ONLY:-}" ] || continue
  name=$(basename "$source" .c)
  check "examples-c.$name.compiles" compile "$source" "$build/example-$name"
  if [ -z "$sanitizer" ] && have clang; then
    check "examples-c.$name.compiles-clang" clang -std=c11 "${warnings[@]}" "${flags[@]}" -fsyntax-only "$source"
  fi
done

finish
