#!/usr/bin/env bash
# Throughput with the default number of threads against numbers set by hand, in a control group whose quota is so many CPUs.
#   Tests/ABI/bench_quota.sh MODEL.adaptq [CPUS=1 [BATCH=8 [LENGTH=128]]]
# Needs a writable cgroup v1 cpu controller (root) and a finished Tests/ABI/run.sh, whose installed library it uses.
# Exit: 0 measured, 77 no quota can be set here.
set -uo pipefail
cd "$(dirname "$0")/../.."
model=$1 cpus=${2:-1} batch=${3:-8} length=${4:-128}
prefix=$PWD/build/abi/prefix
group=/sys/fs/cgroup/cpu/adaptq-bench-$$
mkdir "$group" 2>/dev/null || { echo "no cgroup v1 cpu controller that can be written" >&2; exit 77; }
trap 'rmdir "$group"' EXIT
echo 100000 >"$group/cpu.cfs_period_us" && echo $((cpus * 100000)) >"$group/cpu.cfs_quota_us" || exit 77
gcc -std=c11 -O2 -Wall -Wextra -I"$prefix/include" Tests/ABI/bench_threads.c -o build/abi/bench_threads \
  -L"$prefix/lib" -Wl,-rpath,"$prefix/lib" -ladaptq || exit 1
echo "quota $cpus of $(nproc) CPUs, batch $batch, length $length"
bash -c 'echo $$ >"$0/cgroup.procs" && exec "${@:1}"' "$group" build/abi/bench_threads "$model" "$batch" "$length" 0 1 2
awk '/^nr_throttled/ { print "throttled periods: " $2 }' "$group/cpu.stat"
