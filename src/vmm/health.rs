//! When a program counts as ready.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The longest response that [`http_get`] keeps, in bytes.
const LONGEST_RESPONSE: u64 = 16 << 20;

/// How long a fresh connection must stay open to count, unless the guest speaks first. A user-mode
/// network accepts for the guest, and closes once the guest has refused; a busy host takes a while
/// to get there.
const STAYS_OPEN: Duration = Duration::from_millis(500);

/// A test for readiness, repeated until it succeeds or its time is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// What to test.
    #[serde(flatten)]
    pub probe: Probe,
    /// How long to go on, from the start of the machine; saved in seconds.
    #[serde(default = "default_limit", with = "seconds")]
    pub limit: Duration,
    /// How long to wait between attempts; saved in seconds.
    #[serde(default = "default_interval", with = "seconds")]
    pub interval: Duration,
}

/// What a health check tests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Probe {
    /// A GET of a path on a forwarded port of the guest has this status.
    Http {
        /// The port inside the guest.
        port: u16,
        /// The path, beginning with a slash.
        path: String,
        /// The status to see, 200 for example.
        status: u16,
    },
    /// A forwarded port of the guest accepts a connection and keeps it for half a second. Where
    /// the program speaks HTTP, or prints a line when it is ready, those say more, and sooner.
    Tcp {
        /// The port inside the guest.
        port: u16,
    },
    /// A line of the console contains this text.
    Console {
        /// The text.
        text: String,
    },
    /// The program has been executed.
    Started,
}

/// An answer to [`http_get`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status, such as 200.
    pub status: u16,
    /// The header lines, without the status line, as sent.
    pub head: Vec<u8>,
    /// The body, at most 16 MiB.
    pub body: Vec<u8>,
}

impl HealthCheck {
    /// A check every 50 ms for at most a minute.
    #[must_use]
    pub fn new(probe: Probe) -> Self {
        Self {
            probe,
            limit: default_limit(),
            interval: default_interval(),
        }
    }

    /// The check with another limit.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }
}

impl Probe {
    /// A GET of `path` on `port` of the guest answers 200.
    #[must_use]
    pub fn http(port: u16, path: &str) -> Self {
        Self::Http {
            port,
            path: path.to_owned(),
            status: 200,
        }
    }

    /// The port of the guest that the test connects to.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Http { port, .. } | Self::Tcp { port } => Some(*port),
            Self::Console { .. } | Self::Started => None,
        }
    }

    /// One attempt over the network, at the port of the host that leads to the guest's. The error
    /// says in words how it failed.
    ///
    /// # Errors
    /// The guest is not ready; or this probe is not one over the network.
    pub fn attempt(&self, host: SocketAddrV4, timeout: Duration) -> Result<(), String> {
        match self {
            Self::Http { path, status, .. } => match http_get(host, path, timeout) {
                Ok(response) if response.status == *status => Ok(()),
                Ok(response) => Err(format!("answered {}", response.status)),
                Err(error) => Err(format!("failed: {error}")),
            },
            Self::Tcp { .. } => {
                connect_and_stay(host, timeout).map_err(|error| format!("failed: {error}"))
            }
            Self::Console { .. } | Self::Started => Err("was not seen".to_owned()),
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { port, path, .. } => write!(f, "GET {path} on the guest's port {port}"),
            Self::Tcp { port } => write!(f, "a connection to the guest's port {port}"),
            Self::Console { text } => write!(f, "`{text}` on the console"),
            Self::Started => f.write_str("the start of the program"),
        }
    }
}

/// Fetches `path` by HTTP/1.0 and reads the answer to its end.
///
/// # Errors
/// The connection fails, or takes longer than `timeout` for any one step, or the answer is not
/// HTTP.
pub fn http_get(host: SocketAddrV4, path: &str, timeout: Duration) -> io::Result<Response> {
    let mut stream = connect(host, timeout)?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.take(LONGEST_RESPONSE).read_to_end(&mut bytes)?;
    parse_response(&bytes)
        .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "the answer is not HTTP"))
}

fn parse_response(bytes: &[u8]) -> Option<Response> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, body) = (&bytes[..end], &bytes[end + 4..]);
    let line_end = head
        .windows(2)
        .position(|window| window == b"\r\n")
        .unwrap_or(end);
    let mut words = str::from_utf8(&head[..line_end]).ok()?.split(' ');
    words
        .next()
        .filter(|version| version.starts_with("HTTP/"))?;
    let status = words.next()?.parse().ok()?;
    let head = head.get(line_end + 2..).unwrap_or_default();
    Some(Response {
        status,
        head: head.to_vec(),
        body: body.to_vec(),
    })
}

fn connect(host: SocketAddrV4, timeout: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&SocketAddr::V4(host), timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    Ok(stream)
}

fn connect_and_stay(host: SocketAddrV4, timeout: Duration) -> io::Result<()> {
    let mut stream = connect(host, timeout)?;
    stream.set_read_timeout(Some(STAYS_OPEN))?;
    match stream.read(&mut [0]) {
        Ok(0) => Err(ErrorKind::ConnectionReset.into()),
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(()),
        Err(error) => Err(error),
    }
}

fn default_limit() -> Duration {
    Duration::from_secs(60)
}

fn default_interval() -> Duration {
    Duration::from_millis(50)
}

/// Durations as numbers of seconds, with fractions.
mod seconds {
    use std::time::Duration;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(value.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(from)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    const SOON: Duration = Duration::from_secs(5);

    fn listener() -> (TcpListener, SocketAddrV4) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let SocketAddr::V4(address) = listener.local_addr().unwrap() else {
            unreachable!()
        };
        (listener, address)
    }

    fn serve_once(answer: &'static [u8]) -> (thread::JoinHandle<String>, SocketAddrV4) {
        let (listener, address) = listener();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let count = stream.read(&mut request).unwrap();
            stream.write_all(answer).unwrap();
            String::from_utf8(request[..count].to_vec()).unwrap()
        });
        (server, address)
    }

    #[test]
    fn a_page_is_fetched() {
        let (server, address) = serve_once(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n<h1>\r\n\r\n</h1>");
        let response = http_get(address, "/index.html?q=1", SOON).unwrap();
        assert_eq!(response.status, 200);
        assert_eq!(response.head, b"A: b");
        assert_eq!(response.body, b"<h1>\r\n\r\n</h1>");
        let request = server.join().unwrap();
        assert!(request.starts_with("GET /index.html?q=1 HTTP/1.0\r\nHost: 127.0.0.1:"));
    }

    #[test]
    fn another_status_is_not_ready_and_is_named() {
        let (server, address) = serve_once(b"HTTP/1.0 502 Bad Gateway\r\n\r\n");
        let failure = Probe::http(80, "/").attempt(address, SOON).unwrap_err();
        assert_eq!(failure, "answered 502");
        server.join().unwrap();
    }

    #[test]
    fn what_is_not_http_is_an_error() {
        for answer in [
            &b"+PONG\r\n"[..],
            b"",
            b"HTTP/1.1\r\n\r\n",
            b"HTTP/1.1 2x0 OK\r\n\r\n",
        ] {
            assert_eq!(parse_response(answer), None);
        }
        assert_eq!(parse_response(b"HTTP/1.1 204\r\n\r\n").unwrap().status, 204);
    }

    #[test]
    fn a_connection_that_closes_at_once_does_not_count() {
        let (listener, address) = listener();
        let server = thread::spawn(move || {
            drop(listener.accept().unwrap());
            listener.accept().unwrap()
        });
        let probe = Probe::Tcp { port: 80 };
        assert!(probe.attempt(address, SOON).is_err());
        assert_eq!(probe.attempt(address, SOON), Ok(()));
        server.join().unwrap();
    }

    #[test]
    fn a_manifest_names_the_kind() {
        let text = "kind = \"http\"\nport = 80\npath = \"/\"\nstatus = 200\nlimit = 5\n";
        let check: HealthCheck = toml::from_str(text).unwrap();
        assert_eq!(check, HealthCheck::new(Probe::http(80, "/")).within(SOON));
        assert!(toml::from_str::<HealthCheck>("kind = \"started\"\nlimit = -1\n").is_err());
    }
}
