use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::api::{ClientId, Command, Event, Reply, Toggle};
use crate::frontend::fake::Fake;

struct Host {
    directory: PathBuf,
    peer: u32,
    own: u32,
}

impl SocketHost for Host {
    fn runtime_dir(&self) -> io::Result<PathBuf> {
        Ok(self.directory.clone())
    }

    fn peer_uid(&self, _: &UnixStream) -> io::Result<u32> {
        Ok(self.peer)
    }

    fn own_uid(&self) -> u32 {
        self.own
    }
}

struct World {
    host: Arc<Host>,
    fake: Fake,
    server: Server,
    _directory: tempfile::TempDir,
}

fn own_uid() -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").unwrap().uid()
}

fn world() -> World {
    let directory = tempfile::tempdir().unwrap();
    let host = Arc::new(Host { directory: directory.path().join("rdbg"), peer: own_uid(), own: own_uid() });
    let fake = Fake::start();
    let server = Server::open(host.clone(), "envoy", Arc::new(fake.clone())).unwrap();
    World { host, fake, server, _directory: directory }
}

fn eventually(what: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !what() {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn is_well(world: &World) {
    let mut client = Client::connect(world.host.as_ref(), Some("envoy")).unwrap();
    let print = Command::Print { expression: "1".into(), format: None };
    assert_eq!(client.request(print).unwrap().unwrap(), Reply::Text { text: "$1 = 1".into() });
}

#[test]
fn commands_answers_and_events() {
    let world = world();
    let mut client = Client::connect(world.host.as_ref(), None).unwrap();
    assert!(client.request(Command::Print { expression: "bad".into(), format: None }).unwrap().is_err());
    client.subscribe().unwrap().unwrap();
    client.request(Command::Interrupt).unwrap().unwrap();
    // The answer and the event come by two threads, in either order.
    let event =
        client.take_kept_event().or_else(|| client.incoming.recv_timeout(Duration::from_secs(10)).unwrap().event);
    assert!(matches!(event, Some(Event::Stopped { .. })), "{event:?}");
    drop(client);
}

#[test]
fn the_files_are_closed_to_others_and_go_with_the_session() {
    let world = world();
    let path = world.server.path().to_owned();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    drop(world.server);
    assert!(!path.exists());
    assert!(matches!(Client::connect(world.host.as_ref(), None), Err(SocketError::NoSession)));
    let text = SocketError::NoSession.to_string();
    assert!(["--pid", "--waitfor", "-- PROGRAM"].iter().all(|way| text.contains(way)));
}

#[test]
fn sessions_are_found_by_pid_name_and_target() {
    let world = world();
    let pid = std::process::id().to_string();
    for asked in ["envoy", pid.as_str()] {
        assert!(Client::connect(world.host.as_ref(), Some(asked)).is_ok(), "{asked}");
    }
    assert!(matches!(Client::connect(world.host.as_ref(), Some("x")), Err(SocketError::NoSuchSession { .. })));
    let mut client = Client::connect(world.host.as_ref(), None).unwrap();
    let selector = crate::api::TargetSelector::Name { name: "fake".into() };
    client.request(Command::Target { selector, until_exec: None, hold: Toggle::On }).unwrap().unwrap();
    for asked in ["fake", "100"] {
        assert!(Client::connect(world.host.as_ref(), Some(asked)).is_ok(), "{asked}");
    }
    let second = Server::open(world.host.clone(), "other", Arc::new(world.fake.clone())).unwrap();
    assert!(matches!(Client::connect(world.host.as_ref(), None), Err(SocketError::Several { .. })));
    drop(second);
}

#[test]
fn stale_sockets_are_removed() {
    let world = world();
    let stale = world.host.directory.join("1-dead.sock");
    drop(UnixListener::bind(&stale).unwrap());
    assert!(stale.exists());
    is_well(&world);
    assert!(!stale.exists());
}

#[test]
fn another_user_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let host = Arc::new(Host { directory: directory.path().to_owned(), peer: own_uid() + 1, own: own_uid() });
    let fake = Fake::start();
    let _server = Server::open(host.clone(), "x", Arc::new(fake.clone())).unwrap();
    let mut client = Client::connect(host.as_ref(), None).unwrap();
    assert!(matches!(client.request(Command::Status), Err(SocketError::Gone(_))));
    assert!(fake.commands().is_empty());
    let foreign = Host { directory: directory.path().to_owned(), peer: 0, own: own_uid() + 1 };
    assert!(matches!(Client::connect(&foreign, None), Err(SocketError::Directory { .. })));
}

#[test]
fn rubbish_is_answered_and_too_much_of_it_is_dropped() {
    let world = world();
    let mut stream = UnixStream::connect(world.server.path()).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    for line in ["rubbish", "{\"id\":1}", "\u{0}", "{\"id\":2,\"command\":{\"type\":\"nonsense\"}}", "[]"] {
        writeln!(stream, "{line}").unwrap();
        assert!(lines.next().unwrap().unwrap().contains("\"error\""), "{line}");
    }
    is_well(&world);
    for _ in 0..200 {
        if writeln!(stream, "rubbish").is_err() {
            break;
        }
    }
    assert!(lines.take_while(Result::is_ok).count() <= 64);
    is_well(&world);
}

#[test]
fn a_line_without_end_is_dropped() {
    let world = world();
    let mut stream = UnixStream::connect(world.server.path()).unwrap();
    let chunk = [b'x'; 65536];
    let mut sent = 0;
    while sent < 4 << 20 && stream.write_all(&chunk).is_ok() {
        sent += chunk.len();
    }
    assert!(sent < 4 << 20);
    eventually(|| world.fake.gone.lock().unwrap().contains(&ClientId(1)));
    is_well(&world);
}

#[test]
fn a_client_that_floods_and_never_reads_is_dropped() {
    let world = world();
    let mut stream = UnixStream::connect(world.server.path()).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    writeln!(stream, "{{\"id\":1,\"subscribe\":true}}").unwrap();
    let line = "{\"id\":2,\"command\":{\"type\":\"interrupt\"}}\n".repeat(1000);
    while stream.write_all(line.as_bytes()).is_ok() {}
    is_well(&world);
    eventually(|| world.fake.gone.lock().unwrap().contains(&ClientId(1)));
    is_well(&world);
}

#[test]
fn a_client_that_dies_is_reported_gone() {
    let world = world();
    let stream = UnixStream::connect(world.server.path()).unwrap();
    drop(stream);
    eventually(|| world.fake.gone.lock().unwrap().contains(&ClientId(1)));
    is_well(&world);
}

#[test]
fn messages_come_back_as_they_were() {
    use super::protocol::{to_line, ClientMessage, ServerMessage};
    let message = ClientMessage { id: 3, command: Some(Command::Continue), subscribe: None };
    assert_eq!(to_line(&message), "{\"id\":3,\"command\":{\"type\":\"continue\"}}\n");
    assert_eq!(serde_json::from_str::<ClientMessage>(&to_line(&message)).unwrap(), message);
    let answer = ServerMessage::answer(3, Ok(Reply::Resumed));
    assert_eq!(to_line(&answer), "{\"id\":3,\"reply\":{\"type\":\"resumed\"}}\n");
    assert_eq!(serde_json::from_str::<ServerMessage>(&to_line(&answer)).unwrap(), answer);
}
