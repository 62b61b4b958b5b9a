//! A client that costs as little as it can: it shares the processors with the server and with Postgres.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection that is kept open.
pub struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    read: Vec<u8>,
}

pub struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
}

impl Connection {
    pub async fn open(at: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(at).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, request: Vec::new(), read: Vec::with_capacity(4096) })
    }

    /// Sends a request and waits for its answer. `key` is the `Idempotency-Key` of a change.
    pub async fn ask(&mut self, line: &str, auth: &str, key: Option<&str>, body: &str) -> io::Result<Answer<'_>> {
        use std::io::Write;
        self.request.clear();
        write!(self.request, "{line} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {auth}\r\n")?;
        if let Some(key) = key {
            write!(self.request, "Idempotency-Key: {key}\r\n")?;
        }
        if body.is_empty() {
            self.request.extend_from_slice(b"\r\n");
        } else {
            let length = body.len();
            write!(self.request, "Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")?;
        }
        self.stream.write_all(&self.request).await?;
        self.read.clear();
        loop {
            if let Some((status, head, length)) = head_of(&self.read)? {
                while self.read.len() < head + length {
                    self.more().await?;
                }
                return Ok(Answer { status, body: &self.read[head..head + length] });
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.read).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// The status, the length of the head and that of the body, once the head is there.
fn head_of(read: &[u8]) -> io::Result<Option<(u16, usize, usize)>> {
    let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&read[..end]).map_err(io::Error::other)?;
    let status = head.get(9..12).and_then(|status| status.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Ok(Some((status, end + 4, length.unwrap_or(0))))
}
