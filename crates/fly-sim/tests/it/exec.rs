//! The commands on a machine: what is simulated works, and everything else fails.

use std::time::Duration;

use fly_sim::{ExecMode, FlySim, SimConfig};
use serde_json::json;

use crate::client::{Fly, minimal, mounting};

#[tokio::test]
async fn shell_runs_pipes_conditions_and_variables() {
    let fly = Fly::fast().await;
    let mut body = minimal("town");
    body["config"]["env"] = json!({ "COLOUR": "red  blue" });
    let id = fly.start_machine(body).await;
    for (script, stdout, code) in [
        ("true && echo yes || echo no", "yes\n", 0),
        ("false && echo yes || echo no", "no\n", 0),
        ("false", "", 1),
        ("! false; echo $?", "0\n", 0),
        ("echo one | cat | tee /tmp/copy; cat /tmp/copy", "one\none\n", 0),
        ("X=1; echo \"$X-${X}\" '$X'", "1-1 $X\n", 0),
        ("echo $COLOUR; echo \"$COLOUR\"", "red blue\nred  blue\n", 0),
        ("A=b printenv A; printenv A", "b\n", 1),
        ("export A=c && sh -c 'echo $A; exit 3'; echo $?", "c\n3\n", 0),
        ("exit 7; echo never", "", 7),
        ("exit 300", "", 44),
        ("pwd; cd /tmp && pwd", "/\n/tmp\n", 0),
        ("cd /nowhere || echo lost", "lost\n", 0),
        ("uname; uname -sm", "Linux\nLinux x86_64\n", 0),
        ("echo a > /tmp/f; echo b >> /tmp/f; cat < /tmp/f", "a\nb\n", 0),
        ("cat /none 2>/dev/null || echo missing", "missing\n", 0),
        ("ls /none 2>&1 | cat", "ls: cannot access '/none': No such file or directory\n", 0),
        ("[ -f /tmp/f ] && test \"$NONE\" = '' && echo both", "both\n", 0),
        ("sleep 0; echo slept # a comment", "slept\n", 0),
        ("echo $FLY_APP_NAME", "mill\n", 0),
    ] {
        let (out, err, exit) = fly.shell(&id, script).await;
        assert_eq!((out.as_str(), exit), (stdout, code), "{script}: {err}");
    }
    let (out, _, code) = fly.shell(&id, "uname -a").await;
    assert!(out.starts_with("Linux ") && out.contains(&id) && code == 0, "{out}");
    assert!(fly.shell(&id, "env").await.0.contains(&format!("FLY_MACHINE_ID={id}\n")));
}

#[tokio::test]
async fn what_is_not_simulated_fails_and_says_so() {
    let fly = Fly::fast().await;
    let id = fly.start_machine(minimal("town")).await;
    for (script, stdout, code) in [
        ("echo a | tr a b; uname -a", "", 127),
        ("echo before; tr a b || echo never", "before\n", 127),
        ("ls -la /", "", 127),
        ("echo $(uname)", "", 2),
        ("echo `uname`", "", 2),
        ("echo a & echo b", "", 2),
        ("(echo a)", "", 2),
        ("for x in 1 2; do echo $x; done", "", 2),
        ("if true; then echo a; fi", "", 2),
        ("echo *", "", 2),
        ("cat <<EOF", "", 2),
        ("echo ${X:-y}", "", 2),
        ("sh -c 'grep a'; echo never", "", 127),
    ] {
        let (out, err, exit) = fly.shell(&id, script).await;
        assert_eq!((out.as_str(), exit), (stdout, code), "{script}: {err}");
        assert!(err.starts_with("fly-sim: ") && err.ends_with(" is not simulated\n"), "{script}: {err}");
    }
    for script in ["echo 'open", "&& echo a", "echo a |", "echo >"] {
        let (out, err, exit) = fly.shell(&id, script).await;
        assert_eq!((out.as_str(), exit, err.contains("syntax error")), ("", 2, true), "{script}: {err}");
    }
}

#[tokio::test]
async fn plain_commands_run_without_a_shell() {
    let fly = Fly::fast().await;
    let id = fly.start_machine(minimal("town")).await;
    let exec = format!("machines/{id}/exec");
    let (_, plain) = fly.post(&exec, json!({ "command": ["echo", "$HOME", "|"] })).await;
    assert_eq!((&plain["stdout"], &plain["exit_code"]), (&json!("$HOME |\n"), &json!(0)));
    let (_, old) = fly.post(&exec, json!({ "cmd": "echo 'a  b' c" })).await;
    assert_eq!(old["stdout"], "a  b c\n");
    assert_eq!(fly.post(&exec, json!({ "cmd": "echo a | tr a b; uname -a" })).await.0, 400);
    let (_, missing) = fly.post(&exec, json!({ "command": ["tr", "a", "b"] })).await;
    assert_eq!(missing["exit_code"], 127);
    fly.post(&format!("machines/{id}/stop"), json!(null)).await;
    assert_eq!(fly.post(&exec, json!({ "command": ["true"] })).await.0, 412);
}

#[tokio::test]
async fn command_that_sleeps_too_long_times_out() {
    let fly = Fly::fast().await;
    let id = fly.start_machine(minimal("town")).await;
    let command = json!({ "command": ["sleep", "60"], "timeout": 1 });
    let (status, late) = fly.post(&format!("machines/{id}/exec"), command).await;
    assert_eq!((status, &late["error"]), (408, &json!("deadline_exceeded: the command did not end in time")));
}

#[tokio::test]
async fn commands_of_one_machine_share_its_files() {
    let fly = Fly::fast().await;
    let volume = fly.create_volume("data").await;
    let id = fly.start_machine(mounting("town", &volume)).await;
    fly.shell(&id, "echo kept > /home/gt/data/note; echo lost > /tmp/note").await;
    assert_eq!(fly.shell(&id, "ls /home/gt/data").await.0, "note\n");
    fly.post(&format!("machines/{id}/restart"), json!(null)).await;
    fly.wait_for(&id, "started").await;
    assert_eq!(fly.shell(&id, "cat /home/gt/data/note").await.0, "kept\n");
    assert_eq!(fly.shell(&id, "cat /tmp/note").await.2, 1);
}

#[tokio::test]
async fn local_commands_run_in_a_folder_per_machine() {
    let scratch = std::env::temp_dir().join(format!("fly-sim-exec-{}", std::process::id()));
    let fly = Fly::start(SimConfig { exec: ExecMode::Local(scratch.clone()), ..SimConfig::fast() }).await;
    let (one, other) = (fly.start_machine(minimal("one")).await, fly.start_machine(minimal("two")).await);
    assert_eq!(fly.shell(&one, "echo a | tr a b > note; cat note; exit 3").await, ("b\n".into(), String::new(), 3));
    assert_eq!(fly.shell(&other, "ls; echo $FLY_MACHINE_ID").await.0, format!("{other}\n"));
    assert_eq!(std::fs::read_to_string(scratch.join(&one).join("note")).unwrap(), "b\n");
    let missing = json!({ "command": ["no-such-program-here"] });
    assert_eq!(fly.post(&format!("machines/{one}/exec"), missing).await.1["exit_code"], 127);
    let (_, killed) = fly.post(&format!("machines/{one}/exec"), json!({ "command": ["sh", "-c", "kill -9 $$"] })).await;
    assert_eq!((&killed["exit_code"], &killed["exit_signal"]), (&json!(137), &json!(9)));
    let slow = json!({ "command": ["sleep", "60"], "timeout": 1 });
    assert_eq!(fly.post(&format!("machines/{one}/exec"), slow).await.0, 408);
    std::fs::remove_dir_all(&scratch).unwrap();
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_sleeping_command() {
    let sim = FlySim::start(SimConfig::fast()).await.unwrap();
    sim.create_app("mill").unwrap();
    let id = sim.seed_machine(&fly_sim::MachineSeed::new("mill", "town")).unwrap();
    let url = format!("{}/v1/apps/mill/machines/{id}", sim.url());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    http.get(format!("{url}/wait")).bearer_auth("t").send().await.unwrap();
    let body = json!({ "command": ["sleep", "50"] });
    let exec = tokio::spawn(http.post(format!("{url}/exec")).bearer_auth("t").json(&body).send());
    while !sim.calls().iter().any(|call| call.path.ends_with("/exec")) {
        tokio::task::yield_now().await;
    }
    tokio::time::timeout(Duration::from_secs(20), sim.shutdown()).await.unwrap();
    assert_eq!(exec.await.unwrap().unwrap().status(), 503);
}
