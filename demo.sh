#!/usr/bin/env bash
# Shows rdbg on the real Envoy and ends by itself (about a minute after the build; the first run fetches Envoy):
#   1. caught at its first instruction under a Go parent, then stopped in libc's bind, listen or epoll_ctl, with
#      arguments and stacks
#   2. calls in libc logged while the running Envoy answers a request
#   3. Envoy answers on after rdbg has left
set -euo pipefail
cd "$(dirname "$0")"

scripts/setup
echo "demo: building rdbg and the Go parent"
cargo build --release --locked
rdbg=target/x86_64-unknown-linux-gnu/release/rdbg
envoy=target/real/envoy
mkdir -p target/demo
(cd fixtures/pilot-agent && CGO_ENABLED=0 go build -buildvcs=false -trimpath -o ../../target/demo/pilot-agent .)

work=$(mktemp -d)
agent=
trace=
cleanup() {
  local status=$?
  trap - EXIT
  for pid in $trace $agent; do kill -TERM "$pid" 2>/dev/null || true; done
  for pid in $trace $agent; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$work"
  exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM

free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    # Nothing listens there: the connection is refused.
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}
admin=$(free_port) outbound=$(free_port) inbound=$(free_port)
sed -e "s/@ADMIN@/$admin/" -e "s/@OUTBOUND@/$outbound/" -e "s/@INBOUND@/$inbound/" \
  fixtures/envoy.yaml.in >"$work/envoy.yaml"

# A command line as a user would type it.
show() {
  local word line='$ rdbg'
  for word in "$@"; do
    case "$word" in
      *\'*) line+=" \"$word\"" ;;
      *[!a-zA-Z0-9_./=-]*) line+=" '$word'" ;;
      *) line+=" $word" ;;
    esac
  done
  echo
  echo "$line"
}

# Waits up to 30 s for a request to come back.
request() {
  local try
  for try in $(seq 300); do
    if curl --silent --fail --max-time 5 "http://127.0.0.1:$1/"; then return; fi
    sleep 0.1
  done
  echo "demo: Envoy did not answer on port $1" >&2
  return 1
}

echo
echo "demo: a Go parent will start Envoy in two seconds; rdbg waits for it by name"
target/demo/pilot-agent --delay 2s -- "$envoy" -c "$work/envoy.yaml" --concurrency 2 --base-id $$ -l warning \
  >"$work/agent.log" 2>&1 &
agent=$!

first=(attach --waitfor envoy --batch
  --ex "break --module libc.so.6 --regex '^(bind|listen|epoll_ctl)\$'"
  --ex continue --ex bt --ex 'info threads' --ex continue --ex bt --ex detach)
show "${first[@]}"
"$rdbg" "${first[@]}"

pid=
for _ in $(seq 50); do
  pid=$(sed -n 's/^started //p' "$work/agent.log")
  [ -z "$pid" ] || break
  sleep 0.1
done
[ -n "$pid" ] || { cat "$work/agent.log" >&2; exit 1; }
echo
echo "demo: rdbg has left; Envoy (pid $pid) starts up and answers:"
request "$inbound"

echo
echo "demo: twelve calls in libc, logged while Envoy serves requests"
second=(break --log --count 12 --module libc.so.6 --regex 'epoll_.*|accept4' --pid "$pid")
show "${second[@]}"
"$rdbg" "${second[@]}" &
trace=$!
answers=0
while kill -0 "$trace" 2>/dev/null; do
  request "$outbound" >"$work/answer"
  answers=$((answers + 1))
done
wait "$trace"
trace=

echo
echo "demo: $answers requests were answered meanwhile; rdbg has left again, and Envoy answers:"
request "$inbound"
kill -TERM "$agent"
wait "$agent" && echo "demo: Envoy ended well" || { echo "demo: the Go parent ended with status $?" >&2; exit 1; }
agent=
