//! `tidegate proxy run` as a process of its own, without a server: sockets that it is given, and
//! descriptors that run out.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use tidegate_proxy::wire::{self, Backend, Table, TableParts, Weight};

use crate::harness::{PATIENCE, TIDEGATE, World, send, wait};

/// A proxy that ends with its test.
struct Proxy {
    child: Child,
    socket: PathBuf,
}

impl Proxy {
    /// Runs `script`, in which `"$0" "$@"` is the proxy, as a service manager would.
    fn start(world: &World, script: &str, stdin: Stdio) -> Self {
        let words = std::fs::File::create(world.path().join("proxy.out")).unwrap();
        let child = Command::new("sh")
            .args(["-c", script, TIDEGATE, "proxy", "run", "--workers", "1"])
            .env("TIDEGATE_STATE_DIR", world.state_dir())
            .stdin(stdin)
            .stdout(words.try_clone().unwrap())
            .stderr(words)
            .spawn()
            .unwrap();
        let socket = world.state_dir().join("proxy.sock");
        let proxy = Self { child, socket };
        wait("the proxy's socket opens", || UnixStream::connect(&proxy.socket).ok());
        proxy
    }

    /// Has it serve one application at an address.
    fn serve(&self, listen: SocketAddr, application: SocketAddr) {
        let backends = vec![Backend::plain("north/v1", Weight::FULL, application)];
        let table = Table::seal(TableParts::plain("shop@production/web", listen, backends));
        let body = serde_json::to_string(&table.unwrap()).unwrap();
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        let path = wire::PATH_TABLE;
        write!(
            stream,
            "PUT {path} HTTP/1.1\r\nhost: proxy\r\nconnection: close\r\ncontent-length: {}\r\n\r\n\
             {body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    fn descriptors(&self) -> u64 {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count() as u64
    }

    /// Lets it have so many descriptors from now on.
    fn allow(&self, descriptors: u64) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        let limit = Rlimit { current: Some(descriptors), maximum: Some(1_024) };
        prlimit(pid, Resource::Nofile, limit).unwrap();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        send(self.child.id(), Signal::KILL);
        self.child.wait().unwrap();
    }
}

/// An application that says `good` to everything; its threads end with the test process.
fn application() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut client = User { stream: BufReader::new(stream) };
                while client.read_head().is_some() {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood";
                    if client.stream.get_mut().write_all(answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// One keep-alive connection.
struct User {
    stream: BufReader<TcpStream>,
}

impl User {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    fn ask(&mut self) {
        let request = b"GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n";
        // A connection that was refused tells with the answer that does not come.
        let _refused = self.stream.get_mut().write_all(request);
    }

    /// The lines up to an empty one; `None` when the connection ended.
    fn read_head(&mut self) -> Option<String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        Some(head)
    }

    /// Whether a request was answered; not when the connection was refused.
    fn is_answered(&mut self) -> bool {
        let Some(head) = self.read_head() else { return false };
        let mut body = [0; 4];
        self.stream.read_exact(&mut body).unwrap();
        head.starts_with("HTTP/1.1 200 ") && &body == b"good"
    }

    fn is_served(&mut self) -> bool {
        self.ask();
        self.is_answered()
    }
}

#[test]
fn a_socket_of_the_service_manager_is_used_and_nobody_is_refused_before_the_start() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = listener.local_addr().unwrap();
    // They come while no proxy runs, and wait in the socket's queue.
    let mut early: Vec<User> = (0..5).map(|_| User::connect(listen)).collect();
    early.iter_mut().for_each(User::ask);
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"";
    let proxy = Proxy::start(&world, script, Stdio::from(OwnedFd::from(listener)));
    proxy.serve(listen, application());
    for user in &mut early {
        assert!(user.is_answered(), "a user who came before the start");
        assert!(user.is_served(), "the same one again");
    }
    // It is the very socket: nothing else can be bound there, and one descriptor has it.
    assert!(TcpListener::bind(listen).is_err());
    assert!(User::connect(listen).is_served());
}

#[test]
fn a_socket_that_is_not_for_tcp_is_refused_with_its_code() {
    let world = World::new();
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"";
    let output = Command::new("sh")
        .args(["-c", script, TIDEGATE, "proxy", "run"])
        .env("TIDEGATE_STATE_DIR", world.state_dir())
        .stdin(Stdio::from(OwnedFd::from(ours)))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("TG5043"), "{said}");
}

#[test]
fn it_takes_all_the_descriptors_that_it_may_have() {
    let world = World::new();
    let script = "ulimit -Sn 200; ulimit -Hn 700; exec \"$0\" \"$@\"";
    let proxy = Proxy::start(&world, script, Stdio::null());
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", proxy.child.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[3..5], ["700", "700"], "soft and hard: {line}");
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    proxy.serve(address, application());
    // With 200 descriptors there would be room for 36.
    let mut users: Vec<User> = (0..100).map(|_| User::connect(address)).collect();
    assert!(users.iter_mut().all(User::is_served));
}

#[test]
fn past_its_share_of_the_descriptors_newcomers_are_refused_and_the_others_stay() {
    let world = World::new();
    let proxy = Proxy::start(&world, "ulimit -n 200; exec \"$0\" \"$@\"", Stdio::null());
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    proxy.serve(address, application());
    // Half of what is left beside 128 for other things: one for each client, one for its endpoint.
    let mut users: Vec<User> = (0..36).map(|_| User::connect(address)).collect();
    assert!(users.iter_mut().all(User::is_served));
    for _newcomer in 0..20 {
        assert!(!User::connect(address).is_served(), "one more than there is room for");
    }
    assert!(users.iter_mut().all(User::is_served), "those who were there are not touched");
    users.truncate(30);
    wait("room for others", || User::connect(address).is_served().then_some(()));
    assert!(users.iter_mut().all(User::is_served));
}

#[test]
fn without_a_free_descriptor_nobody_is_lost_and_newcomers_wait() {
    let world = World::new();
    let proxy = Proxy::start(&world, "ulimit -n 1024; exec \"$0\" \"$@\"", Stdio::null());
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    proxy.serve(address, application());
    let mut users: Vec<User> = (0..8).map(|_| User::connect(address)).collect();
    assert!(users.iter_mut().all(User::is_served));
    proxy.allow(proxy.descriptors().min(20));
    let mut waiting: Vec<User> = (0..64).map(|_| User::connect(address)).collect();
    waiting.iter_mut().for_each(User::ask);
    for _round in 0..20 {
        assert!(users.iter_mut().all(User::is_served), "who is served stays served");
    }
    proxy.allow(1_024);
    assert!(waiting.iter_mut().all(User::is_answered), "whoever waited has his answer");
    assert!(users.iter_mut().all(User::is_served));
}
