#!/bin/bash
# rdbg against gdb, lldb and a bare ptrace loop.
#
#   benches/run.sh [PART].. [-r ROUNDS]     parts: hits others waiting start arm standstill still waitfor calls trace; all of
#                                           them without one
#
# Each part runs ROUNDS rounds (5), every tool once in a round, and prints the median, least and greatest of each.
# Environment: RDBG (a release build), GDB, LLDB, CPU (the one CPU that target and tool share), NICE (as root a
# negative one keeps other work off that CPU), WORKERD, ENVOY (a part whose binary is missing is left out).
set -u
cd "$(dirname "$0")/.." || exit 1
RDBG=${RDBG:-target/x86_64-unknown-linux-gnu/release/rdbg}
GDB=${GDB:-gdb}
LLDB=${LLDB:-lldb-19}
CPU=${CPU:-1}
NICE=${NICE:-0}
WORKERD=${WORKERD:-target/real/workerd}
ENVOY=${ENVOY:-target/real/envoy}
ROUNDS=5
SECONDS_EACH=2.4
SECONDS_SLOW=5
OUT=target/bench
PARTS=()
while [ $# -gt 0 ]; do
    case $1 in
        -r) ROUNDS=$2; shift ;;
        *) PARTS+=("$1") ;;
    esac
    shift
done
[ ${#PARTS[@]} -gt 0 ] || PARTS=(hits others waiting start arm standstill still waitfor calls trace)
mkdir -p $OUT
RDBG=$(readlink -f "$RDBG")
export XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/tmp} DEBUGINFOD_URLS=
NO_RC=$(mktemp -d)
trap 'rm -rf "$NO_RC"' EXIT

cc -O2 -no-pie -pthread benches/loop.c -o $OUT/loop || exit 1
cc -O2 -pthread benches/still.c -o $OUT/still || exit 1
for one in floor gaps early stood; do cc -O2 benches/$one.c -o $OUT/$one || exit 1; done
WORK=$(nm $OUT/loop | awk '$3 == "work" {print $1}')
COPY=$(nm $OUT/loop | awk '$3 == "work_copy" {print $1}')
printf '%s\n' 'set pagination off' 'break work' 'commands' 'silent' 'continue' 'end' 'continue' >$OUT/silent.gdb

pinned() { taskset -c "$CPU" nice -n "$NICE" "$@"; }
gdb_() { pinned "$GDB" -nx -batch "$@"; }
lldb_() { pinned "$LLDB" --no-lldbinit --batch "$@"; }
rdbg_() { HOME=$NO_RC pinned "$RDBG" "$@"; }

# Median, least and greatest of the second column, by the first.
summary() {
    sort -k1,1 -k2,2g "$1" | awk -v unit="$2" '
        function flush_() { if (n) printf "  %-24s %12.5g %s   (%.5g .. %.5g, %d rounds)\n", name, \
            n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2, unit, v[1], v[n], n; n = 0 }
        $1 != name { flush_(); name = $1 } { v[++n] = $2 } END { flush_() }'
}

# One tool on a process that is $1.
tool() {
    case $2 in
        none) ;;
        floor-*) pinned $OUT/floor "$1" "$WORK" "$COPY" "${2#floor-}" ;;
        rdbg-count) rdbg_ attach --pid "$1" --batch --ex 'break work --ignore 1000000000' --ex continue ;;
        rdbg-false) rdbg_ attach --pid "$1" --batch --ex 'break work if $rdi == 1' --ex continue ;;
        rdbg-log) rdbg_ break --name work --log --pid "$1" >/dev/null ;;
        rdbg-uprobe) rdbg_ trace -q -p "$1" -e "uprobe:$OUT/loop:work { @ = count(); }" ;;
        rdbg-printf) rdbg_ trace -p "$1" -o $OUT/trace.out -e "uprobe:$OUT/loop:work { printf(\"%d %d\\n\", tid, arg0); }" ;;
        rdbg-fn) rdbg_ trace -p "$1" -o $OUT/trace.out --fn '^work$' ;;
        gdb-count) gdb_ -p "$1" -ex 'break work' -ex 'ignore 1 1000000000' -ex continue ;;
        gdb-false) gdb_ -p "$1" -ex 'break work if $rdi == 1' -ex continue ;;
        gdb-silent) gdb_ -p "$1" -x $OUT/silent.gdb ;;
        lldb-count) lldb_ -p "$1" -o 'breakpoint set -n work -i 1000000000' -o continue ;;
        lldb-false) lldb_ -p "$1" -o 'breakpoint set -n work -c "$rdi == 1"' -o continue ;;
        lldb-auto) lldb_ -p "$1" -o 'breakpoint set -n work -G true' -o continue ;;
    esac
}

# Runs the loop under a tool; the medians of the second half of its windows: work, other.
under() {
    # Not by a function, whose pid would be a subshell's; taskset and nice become the program.
    local seconds=$SECONDS_EACH
    # lldb takes seconds to attach to threads that it shares a CPU with.
    case $1 in gdb* | lldb*) seconds=$SECONDS_SLOW ;; esac
    taskset -c "$CPU" nice -n "$NICE" $OUT/loop "$2" "$3" $seconds >$OUT/loop.out &
    local pid=$!
    sleep 0.1
    tool $pid "$1" >$OUT/tool.out 2>&1 </dev/null
    wait $pid
    # Windows from before the tool was ready show more calls than any tracer can follow.
    grep -v total $OUT/loop.out | awk -v t="$1" 't == "none" || $1 < 2e6' | awk '{w[NR] = $1; o[NR] = $2}
        END {n = 0; for (i = int(NR / 2) + 1; i <= NR; i++) print w[i], o[i]}' >$OUT/half.out
    local mid=$((($(wc -l <$OUT/half.out) + 1) / 2))
    W=$(sort -g -k1,1 $OUT/half.out | awk -v m=$mid 'NR == m {print $1}')
    O=$(sort -g -k2,2 $OUT/half.out | awk -v m=$mid 'NR == m {print $2}')
}

TOOLS=${TOOLS:-'floor-copy floor-regs floor-sure floor-emulate rdbg-count rdbg-false rdbg-log gdb-count gdb-false gdb-silent lldb-count lldb-false lldb-auto'}

hits() {
    for threads in ${THREADS:-1 4}; do
        : >$OUT/hits$threads
        for ((r = 0; r < ROUNDS; r++)); do
            for one in $TOOLS; do
                under "$one" $threads all
                # Nothing where the tool was never ready.
                [ -n "$W" ] && echo "$one $W" >>$OUT/hits$threads
            done
        done
        echo "hits/s, $threads thread(s) that hit, one CPU"
        summary $OUT/hits$threads hits/s
    done
}

others() {
    : >$OUT/others_hits
    : >$OUT/others_speed
    for ((r = 0; r < ROUNDS; r++)); do
        for one in none floor-copy rdbg-count rdbg-false gdb-false lldb-auto; do
            under "$one" 4 spin
            [ -n "$W" ] && echo "$one $W" >>$OUT/others_hits
            [ -n "$O" ] && echo "$one $O" >>$OUT/others_speed
        done
    done
    echo 'one thread hits, three do not, one CPU: hits/s of the one'
    summary $OUT/others_hits hits/s
    echo '.. and calls/s of the three together'
    summary $OUT/others_speed calls/s
}

# What a tracer should do between two hits: sleep, or ask again and again; the target runs on CPU 0.
waiting() {
    : >$OUT/waiting_hits
    : >$OUT/waiting_cpu
    for ((r = 0; r < ROUNDS; r++)); do
        while read -r name cpu spin; do
            taskset -c 0 nice -n "$NICE" $OUT/loop 1 all $SECONDS_EACH >$OUT/loop.out &
            local pid=$!
            sleep 0.1
            taskset -c "$cpu" nice -n "$NICE" $OUT/floor $pid "$WORK" "$COPY" copy "$spin" >$OUT/tool.out 2>&1 </dev/null
            wait $pid
            echo "$name $(awk -v s=$SECONDS_EACH '{print $1 / s}' $OUT/tool.out)" >>$OUT/waiting_hits
            echo "$name $(awk '{print $3}' $OUT/tool.out)" >>$OUT/waiting_cpu
        done <<'LIST'
together,sleeping 0 0
apart,sleeping 1 0
apart,asking-20us 1 20
apart,asking-200us 1 200
LIST
    done
    echo 'one thread hits: hits/s'
    summary $OUT/waiting_hits hits/s
    echo ".. and the tracer's CPU time"
    summary $OUT/waiting_cpu us/hit
}

# Wall and peak RSS of a command.
timed() {
    local name=$1
    shift
    HOME=$NO_RC /usr/bin/time -f '%e %M' -o $OUT/time.out nice -n "$NICE" "$@" >$OUT/tool.out 2>&1 </dev/null
    read -r wall peak < <(tail -1 $OUT/time.out)
    echo "$name $wall" >>$OUT/start_wall
    echo "$name $((peak / 1024))" >>$OUT/start_rss
}

RE='kj::.*WebSocket.*'
start() {
    [ -x "$WORKERD" ] || { echo "start: no $WORKERD"; return; }
    : >$OUT/start_wall
    : >$OUT/start_rss
    for ((r = 0; r < ROUNDS; r++)); do
        timed rdbg-name "$RDBG" run --batch --ex 'break main' -- "$WORKERD"
        timed gdb-name "$GDB" -nx -batch -ex 'break main' "$WORKERD"
        timed gdb-name-started "$GDB" -nx -batch -ex starti -ex 'break main' -ex kill "$WORKERD"
        timed lldb-name "$LLDB" --no-lldbinit --batch -o 'breakpoint set -n main' "$WORKERD"
        timed rdbg-regex "$RDBG" run --batch --ex "break --limit 100000 --regex $RE" -- "$WORKERD"
        timed rdbg-symbols-regex "$RDBG" symbols --regex "$RE" "$WORKERD"
        timed gdb-info-functions "$GDB" -nx -batch -ex "info functions $RE" "$WORKERD"
        timed gdb-rbreak "$GDB" -nx -batch -ex "rbreak $RE" "$WORKERD"
        timed lldb-regex "$LLDB" --no-lldbinit --batch -o "breakpoint set -r $RE" "$WORKERD"
    done
    echo 'from start to the first breakpoint set on workerd, seconds'
    summary $OUT/start_wall s
    echo '.. peak memory'
    summary $OUT/start_rss MiB
}

# Sites armed in a process that rdbg has attached to and whose symbols it has read; the command's round trip from
# another terminal is in the figure.
arm() {
    [ -x "$WORKERD" ] || { echo "arm: no $WORKERD"; return; }
    : >$OUT/arm_ms
    "$RDBG" run --stop-at-entry -- "$WORKERD" < <(sleep $((ROUNDS * 4 + 10))) >$OUT/arm.out 2>&1 &
    local session=$!
    sleep 2
    "$RDBG" ctl --session workerd info functions nothing_at_all >/dev/null 2>&1
    for ((r = 0; r < ROUNDS; r++)); do
        for one in "regex:--regex $RE" 'name:main'; do
            local t0 t1
            t0=$(date +%s%N)
            "$RDBG" ctl --session workerd "break --limit 100000 ${one#*:}" >$OUT/tool.out 2>&1
            t1=$(date +%s%N)
            echo "arm-${one%%:*} $(((t1 - t0) / 1000))e-3" >>$OUT/arm_ms
            t0=$(date +%s%N)
            "$RDBG" ctl --session workerd delete >/dev/null 2>&1
            t1=$(date +%s%N)
            echo "delete-${one%%:*} $(((t1 - t0) / 1000))e-3" >>$OUT/arm_ms
        done
    done
    "$RDBG" ctl --session workerd kill >/dev/null 2>&1
    "$RDBG" ctl --session workerd quit >/dev/null 2>&1
    wait $session 2>/dev/null
    echo "a regex ($RE) and one name set in a live session of workerd, and deleted"
    summary $OUT/arm_ms ms
}

# How long the thread of a process with many others was kept from running while a tool attached and detached.
still() {
    : >$OUT/still_ms
    for ((r = 0; r < ROUNDS; r++)); do
        for one in none rdbg gdb lldb; do
            local seconds=2
            [ $one = lldb ] && seconds=6
            $OUT/still 1000 $seconds >$OUT/still.out &
            local pid=$!
            sleep 0.3
            case $one in
                rdbg) HOME=$NO_RC "$RDBG" attach --pid $pid --batch ;;
                gdb) "$GDB" -nx -batch -p $pid -ex detach ;;
                lldb) "$LLDB" --no-lldbinit --batch -p $pid -o detach ;;
            esac >$OUT/tool.out 2>&1 </dev/null
            wait $pid
            read -r _ longest _ <$OUT/still.out
            echo "$one ${longest}e-3" >>$OUT/still_ms
        done
    done
    echo 'attach and detach of a process with 1,000 threads: the longest that a running one stood still'
    summary $OUT/still_ms ms
}

# A tool comes to Envoy and leaves.
visit() {
    case $1 in
        rdbg-attach) HOME=$NO_RC "$RDBG" attach --pid "$2" --batch --ex detach ;;
        rdbg-break) HOME=$NO_RC timeout -s INT 1 "$RDBG" break --name listen --log --pid "$2" ;;
        gdb) "$GDB" -nx -batch -p "$2" -ex detach ;;
        lldb) "$LLDB" --no-lldbinit --batch -p "$2" -o detach ;;
    esac >$OUT/tool.out 2>&1 </dev/null
}

standstill() {
    [ -x "$ENVOY" ] || { echo "standstill: no $ENVOY"; return; }
    local admin=$((20000 + $$ % 10000)) base=$((200 + $$ % 700))
    cat >$OUT/envoy.yaml <<YAML
admin:
  address: { socket_address: { address: 127.0.0.1, port_value: $admin } }
static_resources:
  listeners:
  - name: inbound
    address: { socket_address: { address: 127.0.0.1, port_value: $((admin + 1)) } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: inbound
          route_config:
            name: r
            virtual_hosts:
            - { name: v, domains: ["*"], routes: [ { match: { prefix: "/" }, direct_response: { status: 200, body: { inline_string: "hello\n" } } } ] }
          http_filters:
          - name: envoy.filters.http.router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
YAML
    nice -n "$NICE" "$ENVOY" -c $OUT/envoy.yaml --concurrency 2 --base-id $base -l error >$OUT/envoy.out 2>&1 &
    local envoy=$!
    sleep 2
    : >$OUT/standstill
    for ((r = 0; r < ROUNDS; r++)); do
        for one in none rdbg-attach rdbg-break gdb lldb; do
            nice -n "$NICE" $OUT/gaps $((admin + 1)) 4 >$OUT/gaps.out &
            local client=$!
            sleep 0.3
            visit $one $envoy
            wait $client
            awk -v name=$one '{print name, $3 / 1000}' $OUT/gaps.out >>$OUT/standstill
            awk -v name=median-$one '{print name, $1 / 1000}' $OUT/gaps.out >>$OUT/standstill
            # Alone, since it takes a CPU for itself.
            $OUT/stood $envoy 3.5 >$OUT/stood.out &
            client=$!
            sleep 0.3
            visit $one $envoy
            wait $client
            awk -v name=stood-$one '{print name, $1 / 1000}' $OUT/stood.out >>$OUT/standstill
        done
    done
    kill $envoy
    wait $envoy 2>/dev/null
    echo 'attach and detach of Envoy: the longest round trip of a client in 4 s (median-: its median round trip;'
    echo 'stood-: how long its first thread was in ptrace-stops)'
    summary $OUT/standstill ms
}

# All CPU that a process has used, ms.
cpu_of() { cat /proc/"$1"/task/*/schedstat 2>/dev/null | awk '{s += $1} END {print s / 1e6}'; }

waitfor() {
    : >$OUT/waitfor
    local name=$OUT/bench_awaited
    cp $OUT/early $name
    for who in rdbg lldb; do
        local count=20 late=0 cpu
        [ $who = lldb ] && count=10
        for ((r = 0; r < count; r++)); do
            rm -f $OUT/began
            case $who in
                rdbg) HOME=$NO_RC "$RDBG" attach --waitfor bench_awaited --batch --ex "info registers rip" --ex kill ;;
                lldb) "$LLDB" --no-lldbinit --batch -o 'process attach --name bench_awaited --waitfor' -o kill ;;
            esac >$OUT/tool.out 2>&1 </dev/null &
            local waiter=$! until=1.2
            [ $r = 0 ] && until=6
            sleep 1
            local debugger
            debugger=$(pgrep -P $waiter -n . || echo $waiter)
            cpu=$(cpu_of "$debugger")
            [ $r = 0 ] && sleep 5 && echo "$who-cpu-5s $(echo "$(cpu_of "$debugger") - $cpu" | bc)" >>$OUT/waitfor
            $name $OUT/began >/dev/null 2>&1 &
            local target=$!
            sleep 0.8
            [ -s $OUT/began ] && late=$((late + 1))
            wait $waiter 2>/dev/null
            kill $target 2>/dev/null
            wait $target 2>/dev/null
        done
        echo "  $who: main had begun in $late of $count"
    done
    echo 'CPU used in 5 s of waiting'
    summary $OUT/waitfor ms
}

# A program that makes system calls all the time, of which a rare one is traced, or all.
calls() {
    cc -O2 benches/calls.c -o $OUT/calls || return
    : >$OUT/calls_ns
    local many=2000000 few=40000
    for ((r = 0; r < ROUNDS; r++)); do
        for one in none rdbg-rare strace-seccomp-rare strace-rare rdbg-script-rare rdbg-hot rdbg-count-hot rdbg-attached-hot strace-hot \
            strace-seccomp-hot; do
            case $one in
                none) pinned $OUT/calls $many ;;
                rdbg-rare) rdbg_ trace -q -o /dev/null --syscall listen --ret -- $OUT/calls $many ;;
                rdbg-script-rare) rdbg_ trace -q -o /dev/null -e 'tracepoint:syscalls:sys_enter_listen { @ = count(); }' \
                    -- $OUT/calls $many ;;
                strace-seccomp-rare) pinned strace -f --seccomp-bpf -o /dev/null -e trace=listen $OUT/calls $many ;;
                strace-rare) pinned strace -f -o /dev/null -e trace=listen $OUT/calls $few ;;
                rdbg-hot) rdbg_ trace -q -o /dev/null --syscall getppid --ret -- $OUT/calls $few ;;
                rdbg-count-hot) rdbg_ trace -q -o /dev/null -e 'tracepoint:syscalls:sys_enter_getppid { @ = count(); }' \
                    -- $OUT/calls $few ;;
                # Without a filter, as where rdbg attaches.
                rdbg-attached-hot) rdbg_ trace -q -o /dev/null --follow parent --syscall getppid --ret -- $OUT/calls $few ;;
                strace-seccomp-hot) pinned strace -f --seccomp-bpf -o /dev/null -e trace=getppid $OUT/calls $few ;;
                strace-hot) pinned strace -f -o /dev/null -e trace=getppid $OUT/calls $few ;;
            esac >$OUT/tool.out 2>&1 </dev/null
            awk -v name=$one '$1 == "ns_per_call" {print name, $2}' $OUT/tool.out >>$OUT/calls_ns
        done
    done
    echo 'a system call, one of 10,000 traced (rare) or all (hot), one CPU'
    summary $OUT/calls_ns ns
}

# A function that is called all the time, under scripts that count and that print.
trace() {
    : >$OUT/trace_hits
    : >$OUT/trace_lost
    for ((r = 0; r < ROUNDS; r++)); do
        for one in floor-sure rdbg-count rdbg-uprobe rdbg-printf rdbg-fn; do
            : >$OUT/trace.out
            under "$one" 1 all
            [ -n "$W" ] && echo "$one $W" >>$OUT/trace_hits
            case $one in rdbg-printf | rdbg-fn)
                grep -ho 'Lost [0-9]*' $OUT/tool.out $OUT/trace.out | awk -v name="$one" -v lines="$(wc -l <$OUT/trace.out)" \
                    '{lost += $2} END {printf "%s %.2f\n", name, 100 * lost / (lines + lost)}' >>$OUT/trace_lost ;;
            esac
        done
    done
    echo 'a script on one function, one thread, one CPU'
    summary $OUT/trace_hits hits/s
    echo '.. and how many of the hits are not in the file'
    summary $OUT/trace_lost %
}

for part in "${PARTS[@]}"; do "$part"; done
