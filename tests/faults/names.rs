//! Name servers that fail, and names that move (F21).

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::support::{DEADLINE, Daemon, is_inside, output_of};

/// What a name server says about every name.
#[derive(Clone, Copy)]
enum Answer {
    /// RFC 1035 4.1.1, RCODE 2.
    ServerFailure,
    /// It has this address.
    Address(Ipv4Addr),
}

/// A name server at 127.0.0.1, whom everybody asks.
struct NameServer(Arc<Mutex<Answer>>);

impl NameServer {
    fn start(answer: Answer) -> Self {
        use_own_etc();
        let socket = UdpSocket::bind("127.0.0.1:53").expect("our own network");
        let answer = Arc::new(Mutex::new(answer));
        let told = Arc::clone(&answer);
        thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, client)) = socket.recv_from(&mut query) {
                let answer = *told.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(reply) = reply(&query[..length], answer) {
                    // A client that has gone needs none.
                    _ = socket.send_to(&reply, client);
                }
            }
        });
        Self(answer)
    }

    fn tell(&self, answer: Answer) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }
}

/// RFC 1035 4.1: the header and the question again, and perhaps an address.
fn reply(query: &[u8], answer: Answer) -> Option<Vec<u8>> {
    let name = query.get(12..)?.iter().position(|octet| *octet == 0)?;
    let question = query.get(12..12 + name + 5)?;
    let is_a = question.get(name + 1..)?.starts_with(&[0, 1]);
    let (code, address) = match answer {
        Answer::ServerFailure => (2, None),
        Answer::Address(address) => (0, is_a.then_some(address)),
    };
    let mut reply = query.get(..2)?.to_vec();
    reply.extend([
        0x81,
        0x80 | code,
        0,
        1,
        0,
        u8::from(address.is_some()),
        0,
        0,
        0,
        0,
    ]);
    reply.extend(question);
    if let Some(address) = address {
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        reply.extend(address.octets());
    }
    Some(reply)
}

/// An /etc of this story's own, where names are asked of 127.0.0.1.
fn use_own_etc() {
    let script = r#"
        etc=$(mktemp -d)
        mount -t tmpfs none "$etc"
        for file in ld.so.cache passwd group; do cp "/etc/$file" "$etc" || :; done
        echo 'hosts: files dns' >"$etc/nsswitch.conf"
        printf 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n' >"$etc/resolv.conf"
        mount --move "$etc" /etc
        rmdir "$etc"
    "#;
    output_of(Command::new("sh").args(["-ec", script]));
}

fn line(listener: &TcpListener) -> String {
    let (stream, _) = listener.accept().expect("a connection");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let mut line = String::new();
    let read = BufReader::new(stream).read_line(&mut line);
    read.expect("a line");
    line
}

#[test]
fn f21_a_name_that_cannot_be_resolved_is_found_again_and_followed_when_it_moves() {
    if !is_inside(
        "faults::names::f21_a_name_that_cannot_be_resolved_is_found_again_and_followed_when_it_moves",
    ) {
        return;
    }
    let server = NameServer::start(Answer::ServerFailure);
    let [first, second] = [1, 2].map(|last| Ipv4Addr::new(127, 0, 0, last));
    let at_first = TcpListener::bind((first, 0)).expect("a port");
    let port = at_first.local_addr().expect("bound").port();
    let daemon = Daemon::start(&format!(
        "user.*\t@@loghost.example:{port}\nuser.*\t{{dir}}/log\n"
    ));
    daemon.unix("<13>app: one");
    let sentence = format!("cannot find the address of loghost.example:{port}");
    daemon.stderr().wait_for(&sentence);
    daemon.file("log").wait_for("app: one");
    assert_eq!(daemon.counters().output("@@")["queued"], 1);
    server.tell(Answer::Address(first));
    // It would be tried again after a second.
    assert!(daemon.reload().contains("configuration loaded again"));
    assert!(line(&at_first).ends_with("app: one\n"));
    // The connection is closed, and the name is another host's.
    drop(at_first);
    server.tell(Answer::Address(second));
    let at_second = TcpListener::bind((second, port)).expect("free there");
    daemon.quiet();
    daemon.unix("<13>app: two");
    assert!(line(&at_second).ends_with("app: two\n"));
    daemon.finish();
}

#[test]
fn f21_datagrams_follow_a_name_that_moves_at_a_reload() {
    if !is_inside("faults::names::f21_datagrams_follow_a_name_that_moves_at_a_reload") {
        return;
    }
    let [first, second] = [1, 2].map(|last| Ipv4Addr::new(127, 0, 0, last));
    let server = NameServer::start(Answer::Address(first));
    let bound = |to| {
        let socket = UdpSocket::bind(to).expect("a port");
        socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        socket
    };
    let received = |socket: &UdpSocket| {
        let mut octets = [0; 512];
        let length = socket.recv(&mut octets).expect("a datagram");
        String::from_utf8_lossy(&octets[..length]).into_owned()
    };
    let at_first = bound((first, 0));
    let port = at_first.local_addr().expect("bound").port();
    let at_second = bound((second, port));
    let daemon = Daemon::start(&format!("user.*\t@loghost.example:{port}\n"));
    daemon.unix("<13>app: one");
    assert!(received(&at_first).ends_with("app: one"));
    server.tell(Answer::Address(second));
    assert!(daemon.reload().contains("configuration loaded again"));
    daemon.unix("<13>app: two");
    assert!(received(&at_second).ends_with("app: two"));
    // A name server that fails does not stop what works.
    server.tell(Answer::ServerFailure);
    assert!(daemon.reload().contains("configuration loaded again"));
    daemon.unix("<13>app: three");
    assert!(received(&at_second).ends_with("app: three"));
    daemon.finish();
}
