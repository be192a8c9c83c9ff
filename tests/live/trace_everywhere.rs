//! A script that confines itself to no process, in a pid namespace of its own: there "every process" is what the test
//! starts.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::support::{skip, Fixture, Home, Output, Process, Rdbg, Variant, LONG};

/// Runs a shell script as the first process of new pid and mount namespaces; `RDBG` is rdbg, `CALLS` and `HITS` fixtures.
fn in_namespace(script: &str) -> Option<Output> {
    let (calls, hits) = (Fixture::get("calls"), Fixture::build("hits", Variant::GCC));
    let home = Home::new();
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child", "/bin/sh", "-c", &format!("{FUNCTIONS}{script}")]);
    command.env("RDBG", Rdbg::binary()).env("CALLS", calls.path()).env("HITS", hits.path()).env("HOME", home.path());
    command.process_group(0);
    let output = Process::spawn(command).finish(LONG);
    if output.stderr.contains("unshare failed") {
        skip("this user may make no pid namespace");
        return None;
    }
    Some(output)
}

/// Shell functions for the scripts: waiting until a process is traced, and until a text is in a file.
const FUNCTIONS: &str = r#"
    traced() { until grep -q 'TracerPid:[^0-9]*[1-9]' /proc/$1/status; do :; done; }
    said() { until grep -q "$1" $HOME/told 2>/dev/null; do :; done; }
    mkfifo $HOME/first $HOME/second
"#;

#[test]
fn processes_that_run_those_they_start_and_those_that_others_start_are_traced() {
    // The second is started when the trace has begun, by the shell, which is rdbg's parent and is not traced.
    let script = r#"
        setsid sh -c 'read line <$HOME/first; exec $CALLS family' >/dev/null & first=$!
        $RDBG trace -o $HOME/out -e '
            tracepoint:syscalls:sys_enter_dup3 { printf("%s %d\n", comm, args->oldfd);
                if (args->oldfd == 8) { @marks++; } if (@marks == 2) { exit(); } }' 2>$HOME/told & trace=$!
        said 'Watching every'
        grep TracerPid /proc/$$/status
        setsid sh -c 'read line <$HOME/second; exec $CALLS mark' >/dev/null & second=$!
        traced $second
        echo >$HOME/first; wait $first; echo >$HOME/second
        wait $trace; wait $second; echo left $?
        cat $HOME/out; cat $HOME/told >&2
    "#;
    let Some(output) = in_namespace(script) else { return };
    let shown = &output.stdout;
    // family: 1, 2 and 3 in a fork, 8 in what a vfork executes, 4; mark: 8 again.
    let marks: Vec<&str> =
        shown.lines().filter(|line| line.starts_with("calls ") || line.starts_with("exe ")).collect();
    assert_eq!(marks, ["calls 1", "calls 2", "calls 3", "exe 8", "calls 4", "calls 8"], "{shown}{}", output.stderr);
    assert!(shown.contains("TracerPid:\t0\n") && shown.contains("left 0\n"), "{shown}");
    assert!(output.stderr.contains("Left alone: rdbg's own surroundings ("), "{}", output.stderr);
}

#[test]
fn only_processes_that_a_probe_can_be_for_are_traced() {
    let script = r#"
        all=$($HITS --threads 2 --calls 30 | sed -n 's/.*hits_sub_rsp=\([0-9]*\).*/\1/p')
        $HITS --wait-stdin --threads 2 --calls 30 <$HOME/first >$HOME/counts & hits=$!
        exec 3>$HOME/first
        setsid sleep 1000 & other=$!
        setsid $RDBG trace -e "uprobe:$HITS:hits_sub_rsp, uprobe:$CALLS:mark { @calls = count(); }
            uretprobe:$HITS:hits_sub_rsp { @returns++; if (@returns == \$1) { exit(); } }" $all >$HOME/out 2>$HOME/told & trace=$!
        said 'Watching every'
        traced $hits; grep TracerPid /proc/$other/status
        echo >&3; wait $hits; wait $trace
        cat $HOME/counts; cat $HOME/out; cat $HOME/told >&2
        setsid $RDBG trace -e 'tracepoint:syscalls:sys_enter_nanosleep /comm == "nobody"/ { } interval:ms:300 { exit(); }'
        kill $other
    "#;
    let Some(output) = in_namespace(script) else { return };
    let (shown, calls) = (&output.stdout, output.count("hits_sub_rsp"));
    assert!(calls > 0 && shown.contains("TracerPid:\t0\n"), "{shown}");
    assert!(shown.contains(&format!("@calls: {calls}\n@returns: {calls}\n")), "{shown}{}", output.stderr);
    assert!(output.stderr.contains("and that has mapped a probed file: 1 now"), "{}", output.stderr);
    assert!(output.stderr.contains("and that is called nobody: 0 now"), "{}", output.stderr);
}
